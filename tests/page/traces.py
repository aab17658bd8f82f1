"""Positions on the page's view of traces."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import Locator, Page, expect

from e2e.client import fetch
from e2e.gateways import RunningGateway
from e2e.waiting import wait_for

_SECONDS = 20.0


def row(page: Page, trace_id: str) -> Locator:
    """Return a trace's line in the list."""
    return page.locator(f'.trace[data-trace="{trace_id}"]')


def open_trace(page: Page, trace_id: str) -> Locator:
    """Open a trace from the list, wait until it is there, and return its half of the page."""
    row(page, trace_id).click()
    detail = page.get_by_role("region", name="The open trace")
    expect(detail.locator(".facts")).to_contain_text(trace_id)
    return detail


def kept_trace(gateway: RunningGateway, trace_id: str) -> dict[str, Any]:
    """Wait until the sidecar has a trace, and return it as the page gets it.

    Its spans are those of the request, and on a slow machine one more, for Kong's time before the upstream.
    """

    def found() -> dict[str, Any] | None:
        answer = fetch(gateway.sidecar_url, f"/traces/{trace_id}")
        return dict(json.loads(answer.text())) if answer.status == 200 else None

    kept = wait_for(found, _SECONDS, f"the sidecar has trace {trace_id}")
    assert kept is not None
    return kept


def attributes(detail: Locator) -> dict[str, str]:
    """Return the shown attributes of the chosen span, by name."""
    names, values = (
        detail.locator(".attributes dt").all_inner_texts(),
        detail.locator(".attributes dd").all_inner_texts(),
    )
    return dict(zip(names, values, strict=True))
