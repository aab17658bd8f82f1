"""Promises of the page about log records, plugin timings and the exemplars of metrics."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from e2e.gateways import RunningGateway
from page.shop import DEBUGGED, SECRET, all_signals, send, shop_declaration, shop_gateway
from page.test_accessibility import violations
from page.traces import attributes, kept_trace, open_trace


@pytest.fixture(scope="module")
def gateway(browser: object, shop: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """Give a gateway that sends all signals."""
    assert browser
    declared = shop_declaration(shop, f"http://{shop}/v1/traces", **all_signals(shop))
    with shop_gateway(tmp_path_factory.mktemp("gateway"), declared) as running:
        yield running


def test_a_log_record_is_beside_its_trace(page: Page, gateway: RunningGateway) -> None:
    """With its severity, text and attributes as they are exported, without the secret; its span is one click away."""
    trace_id = send(gateway, f"/api/users/9?token={SECRET}")

    detail = open_trace(page, trace_id)
    record = detail.get_by_role("region", name="Log records").locator("details")
    expect(record.locator("summary")).to_contain_text("WARN")
    expect(record.locator("summary")).to_contain_text("GET /api/users/9 token=REDACTED 404")
    detail.locator(".span").last.click()
    record.locator("summary").click()
    expect(record.locator("dl")).to_contain_text("kong.latency.request_ms")
    assert violations(page) == []
    record.get_by_role("button", name="span ").click()

    expect(detail.locator(".span.server")).to_have_attribute("aria-selected", "true")
    assert SECRET not in page.content()


def test_the_times_of_plugins_are_shown_by_their_names(page: Page, gateway: RunningGateway) -> None:
    """In the waterfall, and as a table with the slowest first and its phase."""
    trace_id = send(gateway, "/api/orders/78", headers=[DEBUGGED])

    detail = open_trace(page, trace_id)
    table = detail.get_by_role("region", name="Time by plugin")
    expect(table.locator("tbody tr").first).to_contain_text("rate-limiting")
    assert table.locator("tbody tr").first.locator("td").all_inner_texts()[:2] == ["access", "14 ms"]
    assert table.get_by_role("rowheader").all_inner_texts() == [
        *("rate-limiting", "key-auth", "acl", "rate-limiting", "cors", "correlation-id"),
    ]
    span = detail.locator(".span.internal").filter(has_text="key-auth")
    expect(span).to_contain_text("plugin")
    span.click()
    assert attributes(detail.locator(".waterfall"))["kong.plugin.name"] == "key-auth"
    assert violations(page) == []


def test_an_exemplar_of_a_metric_opens_its_trace(page: Page, gateway: RunningGateway) -> None:
    """Once the collector has the metric, its exemplar is a link in the row of its route."""
    trace_id = send(gateway, "/api/payments", "POST")
    kept_trace(gateway, trace_id)

    page.get_by_role("link", name="Routes").click()
    cell = page.locator("tbody tr").filter(has=page.get_by_role("rowheader", name="payments"))
    link = cell.locator(f'small a.chip[href="#traces/{trace_id}"]')
    expect(link).to_have_attribute("title", "exemplar of http.server.request.duration")
    assert violations(page) == []
    link.click()

    expect(page.locator(".detail .facts")).to_contain_text(trace_id)
