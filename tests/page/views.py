"""Views of the page, each with something that is there once it shows its data."""

from __future__ import annotations

from collections.abc import Mapping

from playwright.sync_api import Page, expect

VIEWS: Mapping[str, str] = {
    "Routes": "table.routes tbody tr",
    "Delivery": ".card",
    "Redaction": ".findings, main .empty",
    "Log": ".findings, main .empty",
    "Try it": "#rules",
    "Traces": ".trace",
}


def show(page: Page, name: str) -> None:
    """Open a view, and wait until it shows its data."""
    page.get_by_role("link", name=name, exact=True).click()
    expect(page.locator(VIEWS[name]).first).to_be_visible()
