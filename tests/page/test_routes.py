"""Promises of the page's view of routes."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from e2e.client import fetch
from e2e.gateways import RunningGateway
from page.shop import send
from page.traces import kept_trace


def line(page: Page, route: str) -> Locator:
    return page.locator("tbody tr").filter(has=page.get_by_role("rowheader", name=route))


def cell(page: Page, route: str, name: str) -> Locator:
    return line(page, route).locator(f'td[data-name="{name}"]')


def test_every_request_counts_kept_or_not(page: Page, gateway: RunningGateway) -> None:
    """Also those that were not kept; failures are a share of all, and beside them is the probability and why."""
    for _ in range(3):
        fetch(gateway.url, "/healthz")
    for target in ("/api/payments", "/api/payments", "/api/payments/declined", "/api/payments/declined"):
        fetch(gateway.url, target, method="POST")

    page.get_by_role("link", name="Routes").click()

    expect(cell(page, "health", "Kept")).to_contain_text("0 %")
    expect(cell(page, "health", "Kept")).to_contain_text("0 of 3")
    expect(cell(page, "payments", "Errors")).to_contain_text("50 %")
    expect(cell(page, "payments", "Kept")).to_contain_text("4 of 4")
    expect(cell(page, "health", "Sampling now")).to_have_text("0 %")
    expect(cell(page, "payments", "Sampling now")).to_have_text("100 %4 by rule")


def test_percentiles_are_those_of_the_route(page: Page, gateway: RunningGateway) -> None:
    """A route that takes half a second says so, within the 3 % that the page promises."""
    trace_id = send(gateway, "/api/reports/monthly")
    took_ms = kept_trace(gateway, trace_id)["requests"][0]["duration_ms"]

    page.get_by_role("link", name="Routes").click()

    for name in ("p50", "p95", "p99"):
        text = cell(page, "reports", name).inner_text()
        milliseconds = float(text.split()[0]) * (1000 if text.endswith(" s") else 1)
        assert milliseconds == pytest.approx(took_ms, rel=0.04)  # and the error of rounding to three digits
    assert took_ms >= 600


def test_an_exemplar_opens(page: Page, gateway: RunningGateway) -> None:
    """A route's newest trace is one click away, and a caller that decided about it is named."""
    trace_id = send(gateway, "/api/search?q=1")

    page.get_by_role("link", name="Routes").click()
    expect(cell(page, "search", "Sampling now")).to_have_text("as the caller decides1 by caller")
    cell(page, "search", "Traces").get_by_role("link", name="newest").click()

    expect(page.locator(".detail .facts")).to_contain_text(trace_id)


def test_a_route_leads_to_its_traces(page: Page, gateway: RunningGateway) -> None:
    """Its name does: the list is filtered by it."""
    users, orders = send(gateway, "/api/users/1"), send(gateway, "/api/orders/77")

    page.get_by_role("link", name="Routes").click()
    line(page, "orders").get_by_role("button", name="orders").click()

    expect(page.locator(f'.trace[data-trace="{orders}"]')).to_be_visible()
    expect(page.locator(f'.trace[data-trace="{users}"]')).to_have_count(0)


def test_a_column_may_be_chosen_before_the_figures_come(page: Page, gateway: RunningGateway) -> None:
    """On a slow sidecar the table's head is there first: a click on it is no error, and sorts the later rows."""
    send(gateway, "/api/users/1")
    asked: list[Route] = []

    def hold(one: Route) -> None:
        asked.append(one)

    page.route("**/routes", hold, times=1)
    with page.expect_request("**/routes"):
        page.get_by_role("link", name="Routes").click()
    page.get_by_role("columnheader", name="Route").get_by_role("button").click()
    asked[0].continue_()

    expect(page.get_by_role("columnheader", name="Route")).to_have_attribute("aria-sort", "ascending")
    expect(line(page, "users")).to_be_visible()


def test_columns_sort(page: Page, gateway: RunningGateway) -> None:
    """By any of them, one way and the other."""
    send(gateway, "/api/users/1")
    send(gateway, "/api/orders/77")

    page.get_by_role("link", name="Routes").click()
    page.get_by_role("columnheader", name="Route").get_by_role("button").click()

    expect(page.get_by_role("columnheader", name="Route")).to_have_attribute("aria-sort", "ascending")
    expect(line(page, "orders")).to_be_visible()
    names = [text.split("\n")[0] for text in page.get_by_role("rowheader").all_inner_texts()]
    assert {"orders", "users"} <= set(names)
    assert names == sorted(names)
    page.get_by_role("columnheader", name="Route").get_by_role("button").click()
    expect(page.get_by_role("columnheader", name="Route")).to_have_attribute("aria-sort", "descending")
