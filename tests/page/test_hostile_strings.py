"""Promises about strings that others make up: whatever they hold, the page shows it as text."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from urllib.parse import quote

import grpc
import pytest
from playwright.sync_api import Browser, Page, expect

from e2e.client import Caller, HeaderLines, fetch
from e2e.declarations import declaration, tracing
from e2e.gateways import RunningGateway
from otlp_tracing_devtools.fake_collector import ScriptedAnswer, ThreadedOtlpSink
from page.shop import shop_gateway
from page.traces import attributes, open_trace, row

HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>\u202e'
SHOWN = HOSTILE.replace("\u202e", "\\u{202e}")
# The part that the protocol has room for: no blank and no slash in a host, no = in a tracestate's value.
HOST = '<img\x0bsrc="x"onerror="window.hacked=1"><script>window.hacked=1<script>'
STATE = "<img src><script>window.hacked++</script>"
METHOD = "<IMG><SCRIPT>"


@pytest.fixture(scope="module")
def sink() -> Iterator[ThreadedOtlpSink]:
    """Give a backend that answers every export with an error and such a text."""
    with ThreadedOtlpSink() as running:
        running.sink.default_answer = ScriptedAnswer(grpc.StatusCode.UNAVAILABLE, HOSTILE)
        yield running


@pytest.fixture(scope="module")
def gateway(
    browser: Browser, shop: str, sink: ThreadedOtlpSink, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    """Give a gateway with such names of service, route and rule; a real Kong would refuse the first two."""
    assert browser
    route = {"name": f"route {HOSTILE}", "paths": ["/"], "strip_path": False}
    service = {"name": f"service {HOSTILE}", "url": f"http://{shop}", "routes": [route]}
    entry = tracing(
        sink.sink.endpoint,
        capture={"request_headers": ["x-tenant"], "baggage": ["tenant"]},
        sampling={"parent": "ignore", "rules": [{"name": f"rule {HOSTILE}", "rate": 1}]},
    )
    with shop_gateway(tmp_path_factory.mktemp("gateway"), declaration(service, plugins=[entry])) as running:
        yield running


def send(gateway: RunningGateway) -> str:
    """Send a request that is hostile wherever a client has a say; return its trace id."""
    coded = HOSTILE.encode().replace(b" ", b"%20")
    caller = Caller.new()
    headers: HeaderLines = [
        ("Host", HOST),
        caller.header(),
        ("tracestate", f"acme={STATE}"),
        ("baggage", f"tenant={quote(HOSTILE)}"),
        ("User-Agent", HOSTILE.encode()),
        ("x-tenant", HOSTILE.encode()),
    ]
    fetch(gateway.url, b"/" + coded + b"?email=jane.roe%40example.com&q=" + coded, headers, METHOD)
    return caller.trace_id


def assert_all_is_text(page: Page) -> None:
    """Nothing in the view that is shown became an element, ran, or turns the direction of the text after it."""
    assert page.locator("main").locator("img, script, iframe").count() == 0
    assert page.evaluate("window.hacked") is None
    assert "\u202e" not in page.locator("main").inner_text()


def test_what_a_client_sends_stays_text(page: Page, gateway: RunningGateway) -> None:
    """Its path, query, host, trace context, baggage and headers: shown whole, in the list and in a trace."""
    trace_id = send(gateway)

    # Markup cannot be a method (RFC 9110, 9.1), so it is shown nowhere.
    expect(row(page, trace_id)).to_contain_text("_OTHER")
    expect(row(page, trace_id)).to_contain_text('<img%20src=x%20onerror="window.hacked=1"><script>')
    detail = open_trace(page, trace_id)
    values = attributes(detail)

    assert METHOD not in values.values()
    assert values["url.path"] == "/" + SHOWN.replace(" ", "%20")
    assert values["url.query"].endswith("&q=" + SHOWN.replace(" ", "%20"))
    assert values["server.address"] == HOST.replace("\x0b", "\\u{b}")
    assert values["tracestate"].endswith(f"acme={STATE}")
    assert values["baggage.tenant"] == SHOWN
    assert values["user_agent.original"] == SHOWN
    assert values["http.request.header.x-tenant"] == SHOWN
    command = detail.get_by_role("button", name="Copy as curl").get_attribute("data-copies") or ""
    assert shlex.split(command)[0] == "curl"
    assert_all_is_text(page)


def test_names_stay_text(page: Page, gateway: RunningGateway) -> None:
    """Of service, route and rule, on every view that has them."""
    detail = open_trace(page, send(gateway))
    expect(detail.locator(".facts")).to_contain_text(f"route {SHOWN} of service {SHOWN}")
    expect(detail.locator(".facts")).to_contain_text(f"by the rule rule {SHOWN}")
    expect(page.get_by_label("Route", exact=True)).to_contain_text(f"route {SHOWN}")
    assert_all_is_text(page)

    page.get_by_role("link", name="Routes").click()
    expect(page.locator("table.routes tbody")).to_contain_text(f"route {SHOWN}service {SHOWN}")
    assert_all_is_text(page)
    page.get_by_role("link", name="Redaction").click()
    expect(page.locator(".findings tbody")).to_contain_text(f"route {SHOWN}")
    assert_all_is_text(page)
    page.get_by_role("link", name="Try it").click()
    page.get_by_role("button", name="Try these rules").click()
    expect(page.get_by_role("row", name=f"route {SHOWN}")).to_be_visible()
    assert_all_is_text(page)


def test_a_collectors_words_stay_text(page: Page, gateway: RunningGateway, sink: ThreadedOtlpSink) -> None:
    """Why it takes nothing, as it says, but for characters that no line of the log shows."""
    send(gateway)

    page.get_by_role("link", name="Delivery").click()

    there = page.get_by_role("article", name=sink.sink.endpoint)
    expect(there.locator(".why")).to_contain_text("UNAVAILABLE: " + HOSTILE.replace("\u202e", " "))
    assert_all_is_text(page)
