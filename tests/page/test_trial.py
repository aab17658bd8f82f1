"""Promises of the page's view that tries rules."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Page, expect

from e2e.client import fetch
from e2e.gateways import RunningGateway
from e2e.waiting import wait_for
from otlp_tracing.sampling import threshold
from page.shop import send

# Requests of the gateway's own start are there too; the first rule leaves them out.
RULES = """
parent: ignore
rate: 0.4
rules:
  - {name: the gateway's start, paths: [/is-the-plugin-up], rate: 0}
  - {name: none of these, paths: ["/api/orders*"], rate: 0}
keep: {errors: %s}
"""


def counted(gateway: RunningGateway) -> dict[str, int]:
    """Return how many requests to each of the shop's routes the sidecar has seen; a trial looks at those."""
    rows = json.loads(fetch(gateway.sidecar_url, "/routes").text())["routes"]
    return {one["route"]: one["requests"] for one in rows if one["route"] != "probe"}


def tried(page: Page, figure: str) -> str:
    return page.get_by_role("row", name=figure).get_by_role("cell").nth(1).inner_text()


def number(text: str) -> float:
    figure, _, unit = text.partition(" ")
    return float(figure) * {"": 1, "B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}[unit]


def try_rules(page: Page, rules: str) -> None:
    page.get_by_role("link", name="Try it").click()
    page.get_by_label("Rules, as YAML or JSON").fill(rules)
    page.get_by_role("button", name="Try these rules").click()


def test_the_number_is_what_the_gateway_would_keep(page: Page, gateway: RunningGateway) -> None:
    """Reckoned here from the trace ids that were sent; with errors kept, those are added."""
    users = [send(gateway, "/api/users/1") for _ in range(30)]
    failed = [send(gateway, "/api/payments/declined", "POST") for _ in range(5)]
    for _ in range(5):
        send(gateway, "/api/orders/77")
    wait_for(lambda: counted(gateway) == {"users": 30, "payments": 5, "orders": 5}, 20, "the sidecar has every record")
    limit = threshold.from_rate(0.4)
    kept = {one for one in [*users, *failed] if threshold.randomness(bytes.fromhex(one), None) >= limit}

    try_rules(page, RULES % "false")
    expect(page.locator('[data-figure="kept"]')).to_have_text(str(len(kept)))
    lost = len(set(failed) - kept)
    if lost:
        expect(page.locator(".warning")).to_contain_text(f"{lost} request")

    with page.expect_response("**/trial") as answered:
        try_rules(page, RULES % "true")
    expect(page.locator('[data-figure="kept"]')).to_have_text(str(len(kept | set(failed))))
    expect(page.get_by_role("row", name="rule none of these")).to_contain_text("5")
    trial = answered.value.json()
    requests = len(kept | set(failed))
    assert 2 * requests <= trial["spans"] <= 3 * requests  # on a slow machine one more, for Kong's time
    spans_per_second = trial["spans"] / trial["seconds"]
    a_day = spans_per_second * 86400 * trial["bytes_per_span"]

    def is_shown() -> bool:
        return number(tried(page, "Spans/s")) == pytest.approx(spans_per_second, rel=0.06) and number(
            tried(page, "Per day")
        ) == pytest.approx(a_day, rel=0.06)

    wait_for(is_shown, 20, f"{spans_per_second} spans/s, {a_day} bytes a day")


def test_faults_are_all_said(page: Page, gateway: RunningGateway) -> None:
    """With field, value and rule; the text stays, to be mended."""
    assert gateway
    try_rules(page, "rate: 7\nkeep: {statuses: [99]}\n")

    expect(page.locator(".faults li")).to_have_count(2)
    expect(page.locator(".faults")).to_contain_text("sampling.rate = 7")
    expect(page.get_by_label("Rules, as YAML or JSON")).to_have_value("rate: 7\nkeep: {statuses: [99]}\n")


def test_hostile_rules_stay_text(page: Page, gateway: RunningGateway) -> None:
    """A rule's name is shown as it is."""
    assert gateway
    name = "<img src=x onerror=window.hacked=1>"

    try_rules(page, f'rules: [{{name: "{name}", rate: 1}}]')

    expect(page.get_by_role("row", name=f"rule {name}")).to_be_visible()
    assert page.evaluate("window.hacked") is None


def test_a_trial_changes_nothing(page: Page, gateway: RunningGateway) -> None:
    """The rules in force stay so."""
    try_rules(page, "rate: 0\nparent: ignore\nkeep: {errors: false}")
    expect(page.locator('[data-figure="kept"]')).to_have_text("0")

    trace_id = send(gateway, "/api/users/1")
    page.get_by_role("link", name="Traces", exact=True).click()

    expect(page.locator(f'.trace[data-trace="{trace_id}"]')).to_be_visible()
