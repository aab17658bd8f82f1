"""Promises of the page's views of delivery and redaction."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from e2e.client import fetch
from e2e.gateways import RunningGateway
from e2e.ports import HOST, free_port
from e2e.spans import SinkReader, wait_for_trace
from e2e.waiting import wait_for
from otlp_tracing_devtools.fake_collector import ThreadedOtlpSink
from page.browser import opened
from page.shop import SECRET, send, shop_declaration, shop_gateway
from page.traces import kept_trace


@pytest.fixture(scope="module")
def gateway_without_collector(
    browser: Browser, shop: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    assert browser
    nowhere = f"http://{HOST}:{free_port()}"
    with shop_gateway(tmp_path_factory.mktemp("gateway"), shop_declaration(shop, nowhere)) as running:
        yield running


@pytest.fixture(scope="module")
def impatient_gateway(
    browser: Browser, shop: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    assert browser
    declared = shop_declaration(
        shop, f"http://{HOST}:{free_port()}", batch_export={"timeout": 100, "max_retry_time": 1}
    )
    with shop_gateway(tmp_path_factory.mktemp("gateway"), declared) as running:
        yield running


def card(page: Page, endpoint: str) -> Locator:
    return page.get_by_role("article", name=endpoint)


def spans_of(gateway: RunningGateway, *trace_ids: str) -> str:
    """Count the spans of traces that the sidecar has or will have."""
    return str(sum(len(kept_trace(gateway, one)["spans"]) for one in trace_ids))


def balance(card: Locator) -> dict[str, str]:
    """Read every term of the balance at one time."""
    texts = card.locator(".term").evaluate_all("terms => terms.map(one => [...one.children].map(e => e.textContent))")
    return {name: number for number, name in texts}


def finding(page: Page, rule: str, attribute: str) -> Locator:
    rows = page.locator(".findings tbody tr").filter(has=page.get_by_role("rowheader", name=rule))
    return rows.filter(has=page.get_by_text(attribute, exact=True))


def test_what_was_delivered_is_counted(page: Page, gateway: RunningGateway, sink: ThreadedOtlpSink) -> None:
    """Received is exported, nothing waits, and the balance is said to hold."""
    wait_for_trace(SinkReader(sink), send(gateway, "/api/users/1"))

    page.get_by_role("link", name="Delivery").click()

    there = card(page, sink.sink.endpoint)
    expect(there).to_contain_text("delivering")
    expect(there.get_by_text("balances")).to_be_visible()

    def delivered() -> bool:
        terms = balance(there)
        return terms["received"] == terms["exported"] != "0"

    wait_for(delivered, 30, "everything that was received is exported")


def test_a_collector_that_is_away_is_seen(browser: Browser, gateway_without_collector: RunningGateway) -> None:
    """The state, since when and why. Waiting spans are on disk, and all of them are still somewhere."""
    with opened(browser) as (page, _):
        page.goto(f"{gateway_without_collector.sidecar_url}/#delivery")
        sent = [send(gateway_without_collector, "/api/users/1") for _ in range(3)]
        spans = spans_of(gateway_without_collector, *sent)

        there = page.get_by_role("article").filter(has_text="retrying")
        expect(there).to_be_visible()
        expect(there.locator(".why")).not_to_be_empty()
        expect(there.locator(".term", has_text="received").locator("b")).to_have_text(spans)
        terms = balance(there)
        assert int(terms["waiting"]) + int(terms["in flight"]) == int(spans)
        expect(there.get_by_text("balances")).to_be_visible()
        expect(there.locator(".meter")).to_have_text(re.compile(r"^[1-9][0-9.]* k?B of 1\.1 GB, < 0\.1 %$"))


def test_the_log_has_the_last_warnings(browser: Browser, gateway_without_collector: RunningGateway) -> None:
    """The line about a collector that is away is shown with its process and its level, the newest first."""
    send(gateway_without_collector, "/api/orders/1")
    with opened(browser) as (page, _):
        page.goto(f"{gateway_without_collector.sidecar_url}/#log")

        line = page.get_by_role("row", name="export failed").first
        expect(line).to_contain_text("sidecar")
        expect(line).to_contain_text("warning")


def test_what_was_given_up_is_seen_with_its_reason(browser: Browser, impatient_gateway: RunningGateway) -> None:
    """By the name that the metric has, and in words. Dropped spans are in the balance."""
    with opened(browser) as (page, _):
        page.goto(f"{impatient_gateway.sidecar_url}/#delivery")
        spans = spans_of(impatient_gateway, send(impatient_gateway, "/api/users/1"))

        there = page.get_by_role("article").filter(has_text="Drop reason")
        expect(there.get_by_role("row", name="retry_expired")).to_have_text(
            f"retry_expirednot delivered within max_retry_time{spans}"
        )
        expect(there.locator(".term", has_text="dropped").locator("b")).to_have_text(spans)
        expect(there.get_by_text("balances")).to_be_visible()


def test_what_was_redacted_is_counted_without_its_value(page: Page, gateway: RunningGateway) -> None:
    """By rule, attribute and route."""
    send(gateway, f"/api/users/2?token={SECRET}", headers=[("x-api-key", SECRET)])

    page.get_by_role("link", name="Redaction").click()

    expect(finding(page, "sensitive_key", "url.query").get_by_role("cell")).to_have_text(
        ["url.query", "users", "1", "0", "1"]
    )
    expect(finding(page, "sensitive_key", "http.request.header.x-api-key")).to_be_visible()
    assert SECRET not in page.content()


def test_a_dry_run_stands_beside_what_is_live(page: Page, gateway: RunningGateway) -> None:
    """Findings that it reported only are counted apart, with the note that they left unchanged."""
    address = "jane.roe@example.com"
    fetch(gateway.url, f"/api/reports/monthly?for={address}")
    trace_id = send(gateway, f"/api/reports/monthly?for={address}")
    expect(page.locator(f'.trace[data-trace="{trace_id}"]')).to_contain_text(address)

    page.get_by_role("link", name="Redaction").click()

    expect(finding(page, "email", "url.query").get_by_role("cell").nth(3)).not_to_have_text("0")
    expect(page.locator(".figure", has_text="reported by a dry run")).to_contain_text("EXPORTED unredacted")
