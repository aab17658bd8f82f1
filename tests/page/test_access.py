"""Promises about access to the page, and about the page while the sidecar is away."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from e2e.client import fetch
from e2e.gateways import RunningGateway
from otlp_tracing_devtools.fake_collector import ThreadedOtlpSink
from page.browser import opened
from page.shop import send, shop_declaration, shop_gateway

TOKEN = "a-token-of-this-test"


@pytest.fixture(scope="module")
def gateway(
    browser: Browser, shop: str, sink: ThreadedOtlpSink, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    assert browser
    token_file: Path = tmp_path_factory.mktemp("token") / "token"
    token_file.write_text(TOKEN)
    variable = f"OTLP_TRACING_PAGE_TOKEN_FILE={token_file}"
    with shop_gateway(
        tmp_path_factory.mktemp("gateway"), shop_declaration(shop, sink.sink.endpoint), variable
    ) as running:
        yield running


def test_the_page_asks_for_its_token_and_shows_nothing_before(browser: Browser, gateway: RunningGateway) -> None:
    """A wrong one is said to be wrong; the right one opens the page and survives a reload, in this tab alone."""
    trace_id = send(gateway, "/api/users/1")
    with opened(browser) as (page, _):
        page.goto(gateway.sidecar_url)
        page.get_by_label("This page needs its token").fill("wrong-wrong-wrong")
        page.get_by_role("button", name="Open").click()
        expect(page.get_by_text("This token is wrong.")).to_be_visible()
        expect(page.locator(".trace")).to_have_count(0)

        page.get_by_label("This page needs its token").fill(TOKEN)
        page.get_by_role("button", name="Open").click()
        expect(page.locator(f'.trace[data-trace="{trace_id}"]')).to_be_visible()
        expect(page.get_by_label("This page needs its token")).to_have_count(0)
        page.reload()
        expect(page.locator(f'.trace[data-trace="{trace_id}"]')).to_be_visible()
        assert page.context.cookies() == []
        assert TOKEN not in page.content()


def test_a_name_bound_to_this_address_gets_nothing(gateway: RunningGateway) -> None:
    """DNS rebinding: a site's own name is not one of the page's."""
    answer = fetch(gateway.sidecar_url, "/routes", [("Host", "evil.test"), ("Authorization", f"Bearer {TOKEN}")])

    assert answer.status == 421


def test_a_sidecar_that_ends_is_said_and_found_again(browser: Browser, gateway: RunningGateway) -> None:
    """Traces that were seen stay readable; the next sidecar's traces come without a reload."""
    before = send(gateway, "/api/users/1")
    with opened(browser) as (page, _):
        page.goto(gateway.sidecar_url)
        page.get_by_label("This page needs its token").fill(TOKEN)
        page.get_by_role("button", name="Open").click()
        expect(page.locator(f'.trace[data-trace="{before}"]')).to_be_visible()
        (sidecar,), (serve,) = gateway.processes()["sidecar"], gateway.processes()["serve"]

        os.kill(serve, signal.SIGSTOP)  # starts the next one only after the page has been checked
        try:
            os.kill(sidecar, signal.SIGKILL)
            expect(page.get_by_text("not connected")).to_be_visible()
            expect(page.get_by_role("alert").filter(has_text="reconnecting")).to_be_visible()
            expect(page.locator(f'.trace[data-trace="{before}"]')).to_be_visible()
        finally:
            os.kill(serve, signal.SIGCONT)
        expect(page.locator("#state[data-is=live]")).to_be_visible()
        after = send(gateway, "/api/users/1")

        expect(page.locator(f'.trace[data-trace="{after}"]')).to_be_visible()
        expect(page.get_by_role("alert").filter(has_text="reconnecting")).to_have_count(0)
