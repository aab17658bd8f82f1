"""Promises about people that cannot see the page, or not well: axe-core finds no fault.

Source: https://github.com/dequelabs/axe-core, its rules for WCAG 2.2 A and AA and its best practices.
"""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from e2e.gateways import RunningGateway
from page.browser import opened
from page.shop import requests_of_a_shop
from page.views import VIEWS, show

WIDTHS = {"wide": 1440, "narrow": 400}


@pytest.fixture(scope="module", autouse=True)
def _requests(gateway: RunningGateway) -> None:
    requests_of_a_shop(gateway, 60)


def violations(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {one['help']}: {node['html']}" for one in found for node in one["nodes"]]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_no_view_has_a_violation(browser: Browser, gateway: RunningGateway, theme: str, width: str) -> None:
    """In both themes, at both widths, with everything that opens on them."""
    window = {"viewport": {"width": WIDTHS[width], "height": 900}, "reduced_motion": "reduce"}  # no colour half-way
    with opened(browser, color_scheme=theme, **window) as (page, complaints):
        page.goto(gateway.sidecar_url)
        expect(page.locator(".trace").first).to_be_visible()
        found = {"traces": violations(page)}
        page.locator(".trace", has_text="declined").first.click()
        expect(page.locator(".span").first).to_be_visible()
        found["trace"] = violations(page)
        page.get_by_role("link", name="Routes").click()
        expect(page.locator("tbody tr").first).to_be_visible()
        found["routes"] = violations(page)
        page.get_by_role("link", name="Delivery").click()
        expect(page.locator(".card").first).to_be_visible()
        found["delivery"] = violations(page)
        page.get_by_role("link", name="Redaction").click()
        expect(page.locator(".findings")).to_be_visible()
        found["redaction"] = violations(page)
        page.get_by_role("link", name="Log", exact=True).click()
        expect(page.locator(".findings")).to_be_visible()
        found["log"] = violations(page)
        page.get_by_role("link", name="Try it").click()
        found["before a trial"] = violations(page)
        page.get_by_role("button", name="Try these rules").click()
        expect(page.locator(".answer")).to_be_visible()
        found["trial"] = violations(page)
        page.get_by_label("Rules").fill("rate: 9")
        page.get_by_role("button", name="Try these rules").click()
        expect(page.locator(".faults")).to_be_visible()
        found["faults"] = violations(page)
        page.get_by_role("button", name="Help").click()
        found["help"] = violations(page)
        page.keyboard.press("Escape")
        page.get_by_role("link", name="Traces", exact=True).click()
        page.get_by_role("searchbox").fill("nothing has this")
        expect(page.get_by_text("No trace matches")).to_be_visible()
        found["no match"] = violations(page)

        assert {view: faults for view, faults in found.items() if faults} == {}
        assert [one for one in complaints if "422" not in one] == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_theme_can_be_chosen(browser: Browser, gateway: RunningGateway, theme: str) -> None:
    """Whatever the system says, and it stays chosen."""
    with opened(browser, color_scheme="dark" if theme == "light" else "light") as (page, _):
        page.goto(gateway.sidecar_url)
        button = page.get_by_role("button", name="Theme")
        while theme not in button.inner_text():
            button.click()
        page.reload()

        expect(page.get_by_role("button", name=f"Theme: {theme}")).to_be_visible()
        assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == theme


def test_nothing_is_lost_without_width(browser: Browser, gateway: RunningGateway) -> None:
    """On a phone nothing scrolls sideways, and a trace takes the place of the list until it is closed."""
    with opened(browser, viewport={"width": 360, "height": 700}) as (page, _):
        page.goto(gateway.sidecar_url)
        for view in VIEWS:
            show(page, view)
            assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.locator(".trace").first.click()
        expect(page.locator(".waterfall")).to_be_visible()
        expect(page.locator(".traces")).not_to_be_visible()
        page.get_by_role("button", name="Close the trace").click()

        expect(page.locator(".traces")).to_be_visible()
