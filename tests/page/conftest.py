"""Fixtures of the page's tests: a shop behind a gateway, and a browser that opens the sidecar's page."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from e2e.gateways import RunningGateway
from otlp_tracing_devtools.fake_collector import ThreadedOtlpSink
from page.browser import NO_CHROMIUM, chromium_path, launch, opened
from page.shop import running_shop, shop_declaration, shop_gateway


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Give the system's Chromium; without one, the page's tests are skipped."""
    if chromium_path() is None:
        pytest.skip(NO_CHROMIUM)
    with sync_playwright() as playwright:
        chromium = launch(playwright)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def sink() -> Iterator[ThreadedOtlpSink]:
    """Give the backend that receives the spans."""
    with ThreadedOtlpSink() as running:
        yield running


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    """Give the address of the services."""
    with running_shop() as address:
        yield address


@pytest.fixture(scope="module")
def gateway(
    browser: Browser, shop: str, sink: ThreadedOtlpSink, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    """Give a gateway before the shop; depends on the browser, so that nothing is started for a skip."""
    assert browser
    with shop_gateway(tmp_path_factory.mktemp("gateway"), shop_declaration(shop, sink.sink.endpoint)) as running:
        yield running


@pytest.fixture
def page(browser: Browser, gateway: RunningGateway) -> Iterator[Page]:
    """Give the page, open and live. Fails the test if the browser complained or contacted another host."""
    with opened(browser) as (page, complaints):
        asked: set[str] = set()
        page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
        page.goto(gateway.sidecar_url)
        page.wait_for_selector("#state[data-is=live]")
        yield page

        # A refusal that a test asks for is no fault; Chromium writes each down.
        assert [one for one in complaints if "status of 4" not in one] == []
        assert asked == {urlsplit(gateway.sidecar_url).netloc}
