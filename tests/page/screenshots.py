"""`make screenshots`: every view of the page at two widths and in both themes, into docs/screenshots.

They are made with a shop's traffic behind the stand-in Kong, so a change of the page's looks is seen beside
the change that made it. Looking at them is a person's part.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # as pytest's pythonpath has it

from playwright.sync_api import Browser, Page, sync_playwright

from checkout import DOCS
from e2e.gateways import RunningGateway
from page.browser import NO_CHROMIUM, chromium_path, launch, opened
from page.shop import DEBUGGED, all_signals, requests_of_a_shop, running_shop, send, shop_declaration, shop_gateway

FOLDER = DOCS / "screenshots"
SIZES = {"wide": (1360, 850), "narrow": (412, 860)}
THEMES = ("light", "dark")
MAX_BYTES = 300_000  # of a picture in the README, for readers with a slow line


def trace(page: Page) -> None:
    """Show the list, and in it a trace with a retry."""
    page.locator(".trace", has_text="/api/stock").filter(has_text="3 spans").first.click()
    page.wait_for_selector(".waterfall")


def plugins(page: Page) -> None:
    """Show the times of the plugins of one request, and its log record."""
    page.locator(".trace", has_text="/api/orders/79").first.click()
    page.wait_for_selector(".plugins")
    page.locator(".record summary").click()


def the_list(page: Page) -> None:
    """Show the list alone."""
    page.wait_for_selector(".trace")


def routes(page: Page) -> None:
    """Show the figures by route."""
    page.get_by_role("link", name="Routes").click()
    page.wait_for_selector("tbody tr")


def delivery(page: Page) -> None:
    """Show a destination."""
    page.get_by_role("link", name="Delivery").click()
    page.wait_for_selector(".card")


def redaction(page: Page) -> None:
    """Show the findings."""
    page.get_by_role("link", name="Redaction").click()
    page.wait_for_selector(".findings")


def trial(page: Page) -> None:
    """Show the effect of other rules."""
    page.get_by_role("link", name="Try it").click()
    page.get_by_role("button", name="Try these rules").click()
    page.wait_for_selector(".answer")


VIEWS: Mapping[str, Callable[[Page], None]] = {
    "list": the_list,
    "trace": trace,
    "plugins": plugins,
    "routes": routes,
    "delivery": delivery,
    "redaction": redaction,
    "trial": trial,
}


def main() -> int:
    """Make them all; return the exit code."""
    if chromium_path() is None:
        print(NO_CHROMIUM, file=sys.stderr)
        return 2
    FOLDER.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        running_shop() as shop,
        shop_gateway(Path(folder), shop_declaration(shop, f"http://{shop}/v1/traces", **all_signals(shop))) as gateway,
        sync_playwright() as playwright,
    ):
        requests_of_a_shop(gateway, 220)
        browser = launch(playwright)
        for theme in THEMES:
            for size in SIZES:
                take(browser, gateway, theme, size)
    too_big = [path.name for path in FOLDER.glob("*.png") if path.stat().st_size > MAX_BYTES]
    print(f"{len(list(FOLDER.glob('*.png')))} pictures in {FOLDER}", *(f"; too big: {name}" for name in too_big))
    return 1 if too_big else 0


def take(browser: Browser, gateway: RunningGateway, theme: str, size: str) -> None:
    """Make the pictures of one theme and width."""
    width, height = SIZES[size]
    for name, show in VIEWS.items():
        with opened(browser, color_scheme=theme, viewport={"width": width, "height": height}) as (page, _):
            page.goto(gateway.sidecar_url)
            page.wait_for_selector("#state[data-is=live]")
            send(gateway, "/api/orders/79", headers=[DEBUGGED])
            requests_of_a_shop(gateway, 12)
            page.get_by_text("req/s").wait_for()
            show(page)
            page.mouse.move(0, 0)
            page.screenshot(path=FOLDER / f"{name}-{size}-{theme}.png", animations="disabled")


if __name__ == "__main__":
    sys.exit(main())
