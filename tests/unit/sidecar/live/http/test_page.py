"""Promises of sidecar/live/http/page.py."""

from __future__ import annotations

import json

import pytest

from live_app import (
    TRACE_ID,
    ask,
    client,
    recorded,
    try_rules,
)
from otlp_tracing.sidecar.live.http.page import MAX_BODY, STATIC
from otlp_tracing.sidecar.telemetry.exemplars import SentExemplar


def test_every_file_of_the_page_is_served_once() -> None:
    """Each has its type, and an unchanged one is answered with 304."""
    for path in STATIC.iterdir():
        status, got, text = ask(f"/page/{path.name}")
        assert (status, text) == (200, path.read_text())
        assert got["Content-Type"].startswith(("text/", "image/svg+xml"))
        assert ask(f"/page/{path.name}", {"If-None-Match": got["ETag"]})[0] == 304


def test_the_page_is_light() -> None:
    """All files, uncompressed, have under 100 kB."""
    assert sum(path.stat().st_size for path in STATIC.iterdir()) < 100_000


@pytest.mark.parametrize("name", ["..%2Fpage.py", "%2e%2e%2fpage.py", "none.js"])
def test_only_the_files_of_the_page_are_served(name: str) -> None:
    """A path outside their folder is a 404."""
    assert ask(f"/page/{name}")[0] == 404


def test_an_evicted_trace_is_a_404_with_a_hint() -> None:
    """The sentence names the user's backend."""
    status, _, text = ask(f"/traces/{'0f' * 16}")

    assert status == 404
    assert "your backend" in json.loads(text)["error"]


def test_routes_lead_to_traces() -> None:
    """Each route has its newest and its slowest recent trace."""
    _, _, text = ask("/routes")

    (route,) = json.loads(text)["routes"]
    assert (route["service"], route["route"], route["requests"], route["kept"]) == ("users", "all", 1, 1)
    assert {one["what"]: one["trace_id"] for one in route["exemplars"]} == {"newest": TRACE_ID, "slowest": TRACE_ID}


async def test_exemplars_of_metrics_lead_to_traces() -> None:
    """The newest of a route whose traces the page has; one for each trace."""
    sent = [
        SentExemplar("http.server.request.duration", 0.25, bytes.fromhex(TRACE_ID)),
        SentExemplar("http.server.request.duration", 9.0, b"\x0f" * 16),
    ]
    async with client(recorded(3), exemplars=lambda: sent) as there:
        (route,) = (await (await there.get("/routes")).json())["routes"]

    assert route["metric_exemplars"] == [
        {"metric": "http.server.request.duration", "trace_id": TRACE_ID, "seconds": 0.25}
    ]


def test_rules_are_evaluated() -> None:
    """The response has the result of evaluate_rules and the mean size of a span."""
    status, outcome = try_rules("rate: 0")

    assert (status, outcome["requests"], outcome["kept"], outcome["kept_live"]) == (200, 1, 0, 1)
    assert outcome["bytes_per_span"] > 100


def test_rules_are_evaluated_for_one_service() -> None:
    """The entry of a service sees only its requests."""
    assert try_rules("rate: 1", service="users")[1]["requests"] == 1
    assert try_rules("rate: 1", service="other")[1]["requests"] == 0


def test_invalid_rules_are_answered_with_all_faults() -> None:
    """Each fault has its field and value."""
    status, answer = try_rules("rate: 3\nrules: [{rate: 1}]")

    assert status == 422
    assert len(answer["faults"]) == 2


def test_only_the_page_can_send_rules() -> None:
    """Another site cannot, nor can a form."""
    assert ask("/trial", {"Origin": "http://evil.test", "Content-Type": "application/json"}, "POST", "{}")[0] == 403
    assert ask("/trial", {"Content-Type": "text/plain"}, "POST", "{}")[0] == 415


@pytest.mark.parametrize(
    ("body", "status"), [(b"{", 400), (b"[]", 400), (b'{"rules": 1}', 400), (b" " * (MAX_BODY + 1), 413)]
)
def test_a_malformed_request_is_refused(body: bytes, status: int) -> None:
    """Its shape and its size are checked."""
    assert ask("/trial", {"Content-Type": "application/json"}, "POST", body)[0] == status
