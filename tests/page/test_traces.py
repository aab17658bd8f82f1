"""Promises of the page's view of traces, in a browser, with requests through the gateway."""

from __future__ import annotations

import re
import shlex
import socket

import pytest
from playwright.sync_api import Page, expect

from e2e.client import Caller, fetch
from e2e.gateways import RunningGateway
from e2e.ports import HOST
from e2e.spans import SinkReader, wait_for_trace, whole_trace
from otlp_tracing_devtools.fake_collector import ThreadedOtlpSink
from page.shop import SECRET, TRACE_URL, requests_of_a_shop, send
from page.traces import attributes, kept_trace, open_trace, row
from page.views import show


def test_a_request_appears_as_it_is_made(page: Page, gateway: RunningGateway) -> None:
    """Without a reload, a row shows the request, its answer, and the reason why its trace is kept."""
    trace_id = send(gateway, "/api/users/9?page=3")

    shown = row(page, trace_id)
    expect(shown).to_contain_text("/api/users/9?page=3")
    expect(shown.locator(".code")).to_have_text("404")
    expect(shown.locator(".why")).to_have_text("caller")
    assert shown.evaluate("node => node.parentElement.firstElementChild === node")


def test_its_waterfall_has_the_spans_that_were_exported(
    page: Page, gateway: RunningGateway, sink: ThreadedOtlpSink
) -> None:
    """Those that the backend got, the failed try before the one that answered, at their places in time."""
    trace_id, tries = "", 0
    while tries < 2:  # the balancer takes the address that is dead at every other request
        trace_id = send(gateway, "/api/stock/12")
        tries = len(wait_for_trace(SinkReader(sink), trace_id)) - 1
    exported = wait_for_trace(SinkReader(sink), trace_id, 3)

    detail = open_trace(page, trace_id)

    ids = "nodes => nodes.map(node => node.dataset.span)"
    everything = detail.locator(".span").evaluate_all(ids)
    assert sorted(everything) == sorted(span.span_id for span in whole_trace(SinkReader(sink), trace_id))
    spans = detail.locator(".span:not(.internal)")  # the extra time of a slow machine
    assert spans.evaluate_all(ids) == [span.span_id for span in exported]
    expect(spans.nth(0)).to_contain_text("GET /api/stock")
    expect(spans.nth(1)).to_contain_text("connection_error")
    expect(spans.nth(2)).to_contain_text("200")
    boxes = [spans.nth(number).locator(".bar").bounding_box() for number in range(3)]
    assert all(boxes)
    whole, *tries_shown = (box for box in boxes if box)
    server, *tries_exported = exported
    width_of_ns = whole["width"] / (server.end_unix_ns - server.start_unix_ns)
    for box, span in zip(tries_shown, tries_exported, strict=True):
        assert box["x"] - whole["x"] == pytest.approx((span.start_unix_ns - server.start_unix_ns) * width_of_ns, abs=3)
        assert box["width"] == pytest.approx((span.end_unix_ns - span.start_unix_ns) * width_of_ns, abs=3)


def test_a_link_leads_to_the_callers_trace(page: Page, gateway: RunningGateway) -> None:
    """Where a caller is not believed: the request's trace is its own, and names the span it was called from."""
    caller = Caller.new()
    fetch(gateway.url, "/api/users/1", [caller.header()])
    fetch(gateway.url, f"/api/partners/{caller.span_id}", [caller.header()])

    page.locator(".trace", has_text=f"/api/partners/{caller.span_id}").click()
    link = page.locator(".detail p.link")

    expect(link).to_contain_text(f"trace {caller.trace_id}, span {caller.span_id}")
    link.get_by_role("link").click()
    expect(page.locator(".detail .facts")).to_contain_text(caller.trace_id)
    expect(page.locator(".detail .title")).to_contain_text("/api/users/1")


def test_a_span_shows_its_attributes(page: Page, gateway: RunningGateway) -> None:
    """Those of the span that is chosen, by mouse or by arrow."""
    trace_id = send(gateway, "/api/users/1")

    detail = open_trace(page, trace_id)
    server = attributes(detail)
    spans = detail.locator(".span")
    for number in range(spans.count() - 1):  # the try is last; on a slow machine Kong's own time is before it
        spans.nth(number).press("ArrowDown")
    client = attributes(detail)
    spans.first.click()

    assert attributes(detail) == server
    assert server["http.route"] == "/api/users"
    assert server["kong.route.name"] == "users"
    assert server["otlp_tracing.sampling.reason"] == "parent"
    assert client["http.response.status_code"] == "200"
    assert "kong.route.name" not in client


@pytest.mark.parametrize(
    ("label", "option", "kept"),
    [
        ("Route", "payments", {"failed"}),
        ("Status", "4xx", {"missing"}),
        ("Status", "Errors", {"failed"}),
        ("Duration", "≥ 500 ms", {"slow"}),
        ("Why kept", "Kept: rule", {"failed"}),
        ("Why kept", "Kept: caller", {"missing", "slow"}),
    ],
)
def test_filters_leave_what_was_asked_for(
    page: Page, gateway: RunningGateway, label: str, option: str, kept: set[str]
) -> None:
    """By route, status, duration and why it is kept; cleared, everything is there again.

    Where the machine stood still others took as long as the slow one, which the sidecar's figures say.
    """
    marker = Caller.new().span_id
    sent = {
        "missing": send(gateway, f"/api/users/9?{marker}"),
        "slow": send(gateway, f"/api/reports/monthly?{marker}"),
    }
    fetch(gateway.url, f"/api/payments/declined?{marker}", method="POST")
    page.get_by_role("searchbox").fill(marker)
    expect(page.locator(".trace")).to_have_count(3)
    shown = page.locator(".trace", has_text="/api/payments/declined").first
    sent["failed"] = shown.get_attribute("data-trace") or ""
    took_ms = {name: kept_trace(gateway, one)["requests"][0]["duration_ms"] for name, one in sent.items()}
    if label == "Duration":
        kept = kept | {name for name, ms in took_ms.items() if ms >= 500}

    page.get_by_label(label, exact=True).select_option(option)

    expect(page.locator(".trace")).to_have_count(len(kept))
    for name, trace_id in sent.items():
        expect(row(page, trace_id)).to_have_count(1 if name in kept else 0)
    page.get_by_role("button", name="Clear filters").first.click()
    for trace_id in sent.values():
        expect(row(page, trace_id)).to_have_count(1)


def test_a_trace_is_found_by_its_id(page: Page, gateway: RunningGateway) -> None:
    """As one pastes it from a log line; where nothing matches, a sentence says so."""
    trace_id = send(gateway, "/api/users/1")
    send(gateway, "/api/users/1")

    page.get_by_role("searchbox").fill(trace_id)

    expect(page.locator(".trace")).to_have_count(1)
    page.get_by_role("searchbox").fill("nothing has this")
    expect(page.get_by_text("No trace matches")).to_be_visible()


def test_what_can_be_copied_can_be_used(page: Page, gateway: RunningGateway) -> None:
    """The curl command has the secrets redacted and brings the same answer; the traceparent is the upstream's."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    caller = Caller.new()
    target = f"/api/users/9?token={SECRET}&page=2"
    fetch(gateway.url, target, [caller.header(), ("x-tenant", "acme's"), ("x-api-key", SECRET)])
    detail = open_trace(page, caller.trace_id)

    detail.get_by_role("button", name="Copy as curl").click()
    expect(detail.get_by_text("Copied.")).to_be_visible()
    words = shlex.split(page.evaluate("navigator.clipboard.readText()"))
    detail.get_by_role("button", name="Copy traceparent").click()
    client = detail.locator(".span.client").get_attribute("data-span")

    assert words[0] == "curl"
    assert words[-1] == f"{gateway.url}/api/users/9?token=REDACTED&page=2"
    assert sorted((w for w in words if w.startswith("x-")), reverse=True) == [
        "x-tenant: acme's",
        "x-api-key: [REDACTED]",
    ]
    page.wait_for_function(f"navigator.clipboard.readText().then(text => text === '00-{caller.trace_id}-{client}-01')")


def test_a_trace_leads_to_the_users_own_backend(page: Page, gateway: RunningGateway) -> None:
    """By the template of --trace-url, in a tab that learns nothing of this one."""
    trace_id = send(gateway, "/api/users/1")

    link = open_trace(page, trace_id).get_by_role("link", name="Open in your backend")

    expect(link).to_have_attribute("href", TRACE_URL.replace("{trace_id}", trace_id))
    expect(link).to_have_attribute("rel", "noopener noreferrer")


def test_what_was_redacted_is_marked(page: Page, gateway: RunningGateway) -> None:
    """In the list and on each value."""
    trace_id = send(gateway, f"/api/users/2?token={SECRET}", headers=[("x-api-key", SECRET)])

    expect(row(page, trace_id).locator(".redacted")).to_be_visible()
    detail = open_trace(page, trace_id)

    assert detail.locator(".attributes mark").all_inner_texts() == ["REDACTED", "[REDACTED]"]


def test_a_planted_secret_is_nowhere(page: Page, gateway: RunningGateway) -> None:
    """Not in the document of any view, and in nothing that the sidecar answered."""
    bodies: list[str] = []
    page.on("response", lambda answer: bodies.append(answer.text()) if "/events" not in answer.url else None)
    trace_id = send(gateway, f"/api/users/2?token={SECRET}&x=1", headers=[("x-api-key", SECRET), ("cookie", SECRET)])
    seen = []

    open_trace(page, trace_id)
    for span in page.locator(".span").all():
        span.click()
        seen.append(page.content())
    for view in ("Routes", "Delivery", "Redaction", "Try it"):
        show(page, view)
        seen.append(page.content())
    page.get_by_role("button", name="Try these rules").click()
    expect(page.locator(".answer")).to_be_visible()
    seen.append(page.content())
    stream = fetch_stream(gateway)

    assert trace_id in seen[0]
    assert trace_id in stream
    assert [where for where in [*seen, *bodies, stream] if SECRET in where] == []


def test_the_keys_do_what_the_help_says(page: Page, gateway: RunningGateway) -> None:
    """Search, next, open, close, the views and the help; a key typed into a field is only text."""
    trace_id = send(gateway, "/api/users/1")
    expect(row(page, trace_id)).to_be_visible()

    page.keyboard.press("/")
    page.keyboard.type("j2?")
    expect(page.get_by_role("searchbox")).to_have_value("j2?")
    page.get_by_role("searchbox").fill(trace_id)
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    expect(row(page, trace_id)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".detail .facts")).to_contain_text(trace_id)
    page.keyboard.press("Escape")
    expect(page.locator(".waterfall")).to_have_count(0)
    expect(row(page, trace_id)).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("About this page")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("2")
    expect(page.get_by_role("heading", name="Routes")).to_be_visible()


def test_a_paused_list_stays_and_says_what_waits(page: Page, gateway: RunningGateway) -> None:
    """A paused list stays until it is continued."""
    first = send(gateway, "/api/users/1")
    expect(row(page, first)).to_be_visible()

    page.get_by_role("button", name="Pause").click()
    second = send(gateway, "/api/users/1")
    expect(page.get_by_role("button", name=re.compile("1 newer trace"))).to_be_visible()
    expect(row(page, second)).to_have_count(0)
    page.get_by_role("button", name="Resume").click()

    expect(row(page, second)).to_be_visible()


def test_a_page_that_comes_later_sees_what_came_before(page: Page, gateway: RunningGateway) -> None:
    """Existing traces are shown at once. A link to a trace opens it, also one that is no longer kept."""
    requests_of_a_shop(gateway, 20)
    trace_id = send(gateway, "/api/users/1")

    page.goto(f"{gateway.sidecar_url}/#traces/{trace_id}")
    page.reload()
    expect(page.locator(".detail .facts")).to_contain_text(trace_id)
    expect(row(page, trace_id)).to_be_visible()


def fetch_stream(gateway: RunningGateway) -> str:
    """Read the stream's first events, as far as they come at once."""
    host = gateway.sidecar_url.removeprefix("http://")
    with socket.create_connection((HOST, gateway.server.http_port), 5) as connection:
        connection.sendall(f"GET /events HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        text = ""
        while "passed_over" not in text:
            text += connection.recv(65536).decode(errors="replace")
    return text
