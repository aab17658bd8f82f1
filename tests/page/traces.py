"""Where things stand on the page's view of traces."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

__all__ = ["attributes", "open_trace", "row"]


def row(page: Page, trace_id: str) -> Locator:
    """Return a trace's line in the list."""
    return page.locator(f'.trace[data-trace="{trace_id}"]')


def open_trace(page: Page, trace_id: str) -> Locator:
    """Open a trace from the list, wait until it is there, and return its half of the page."""
    row(page, trace_id).click()
    detail = page.get_by_role("region", name="The open trace")
    expect(detail.locator(".facts")).to_contain_text(trace_id)
    return detail


def attributes(detail: Locator) -> dict[str, str]:
    """Return what is shown of the chosen span, by name."""
    names, values = (
        detail.locator(".attributes dt").all_inner_texts(),
        detail.locator(".attributes dd").all_inner_texts(),
    )
    return dict(zip(names, values, strict=True))
