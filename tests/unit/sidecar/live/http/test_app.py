"""Promises of sidecar/http: the application, its guard, the page's data and its stream."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from doubles import ManualClock
from otlp_tracing.sidecar.live.http.app import Health, create_app
from otlp_tracing.sidecar.live.http.auth import SECURITY_HEADERS
from otlp_tracing.sidecar.live.http.events import MAX_WATCHERS
from otlp_tracing.sidecar.live.http.options import PageOptions
from otlp_tracing.sidecar.live.http.page import MAX_BODY, STATIC
from otlp_tracing.sidecar.live.recorder import Recorder
from otlp_tracing.sidecar.live.what_if import WhatIfRedaction
from otlp_tracing.sidecar.otlp.encoder import encode_span
from otlp_tracing.sidecar.telemetry.registry import Metrics
from spans_of import CONTEXT, record_of, spans_of

TOKEN = "0123456789abcdef"
UNREDACTED = WhatIfRedaction((), str)
REPORTS: Mapping[str, Any] = {"/redaction": dict, "/sampling": dict}
FOR_MACHINES = ["/healthz", "/readyz", "/metrics"]
DATA = ["/events", f"/traces/{'01' * 16}", "/routes", "/redaction", "/sampling", "/delivery"]
TRACE_ID = CONTEXT.trace_id.hex()


def recorded(requests: int = 1) -> Recorder:
    recorder = Recorder(ManualClock())
    for _ in range(requests):
        spans = [encode_span(span) for span in spans_of()]
        recorder.observe(record_of(), ("users", "all"), CONTEXT, "sampled", spans, what_if=UNREDACTED)
    return recorder


@contextlib.asynccontextmanager
async def client(recorder: Recorder | None = None, **options: Any) -> AsyncIterator[Any]:
    app = create_app(Metrics(), Health(), REPORTS, recorder or recorded(), PageOptions(**options))
    async with TestClient(TestServer(app)) as one:
        yield one


def ask(
    path: str, headers: Mapping[str, str] | None = None, method: str = "GET", data: object = None, **options: Any
) -> tuple[int, Mapping[str, str], str]:
    async def one() -> tuple[int, Mapping[str, str], str]:
        async with client(**options) as there, there.request(method, path, headers=headers, data=data) as answer:
            return answer.status, answer.headers, "" if path.startswith("/events") else await answer.text()

    return asyncio.run(one())


def try_rules(rules: str, **more: Any) -> tuple[int, Any]:
    headers = {"Content-Type": "application/json", **more.pop("headers", {})}
    status, _, text = ask("/trial", headers, "POST", json.dumps({"rules": rules, **more}))
    return status, json.loads(text)


def events_of(text: str) -> list[tuple[str, Any]]:
    found = []
    for piece in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in piece.split("\n"))
        found.append((fields["event"], {**json.loads(fields["data"]), "id": fields.get("id", "")}))
    return found


async def read_events(there: Any, path: str, until: str) -> list[tuple[str, Any]]:
    async with there.get(path) as answer:
        text = ""
        while until not in text or not text.endswith("\n\n"):
            text += (await asyncio.wait_for(answer.content.readany(), 5)).decode()
    return events_of(text)


@pytest.mark.parametrize("path", FOR_MACHINES)
def test_probes_and_scrapers_are_let_in(path: str) -> None:
    """By whatever name, from wherever, without a token."""
    headers = {"Host": "sidecar.cluster.local", "Sec-Fetch-Site": "cross-site"}

    status, got, _ = ask(path, headers, token=TOKEN)

    assert status == 200
    assert "Content-Security-Policy" not in got


@pytest.mark.parametrize("path", ["/", "/page/main.js", *DATA])
@pytest.mark.parametrize(
    "host", ["localhost:9464", "127.0.0.1", "[::1]:9464", "10.1.2.3:80", "a.localhost", "known.test"]
)
def test_the_page_is_asked_for_by_a_name_that_is_ours(path: str, host: str) -> None:
    """localhost, an address, or what --page-hosts names."""
    assert ask(path, {"Host": host}, hosts=frozenset({"known.test"}))[0] == 200


@pytest.mark.parametrize("path", ["/", "/page/main.js", *DATA])
@pytest.mark.parametrize("host", ["evil.test", "evil.test:9464", "localhost.evil.test", "127.0.0.1.evil.test", "", "["])
def test_another_name_is_misdirected(path: str, host: str) -> None:
    """A site whose name was bound to this address reads nothing."""
    assert ask(path, {"Host": host})[0] == 421


@pytest.mark.parametrize("path", DATA)
@pytest.mark.parametrize(
    "given",
    [None, "", "Bearer", "Bearer wrong", f"Bearer {TOKEN}x", f"bearer {TOKEN}", f"Basic {TOKEN}", "Bearer \xff"],
)
def test_data_needs_the_token(path: str, given: str | None) -> None:
    """Exactly it, as a bearer token."""
    headers = {} if given is None else {"Authorization": given}

    status, got, _ = ask(path, headers, token=TOKEN)

    assert status == 401
    assert got["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/", "/page/main.js"])
def test_the_page_itself_needs_no_token(path: str) -> None:
    """It carries no data, and asks for the token."""
    assert ask(path, token=TOKEN)[0] == 200


def test_the_token_opens() -> None:
    """The data is there for who has it."""
    assert ask(f"/traces/{TRACE_ID}", {"Authorization": f"Bearer {TOKEN}"}, token=TOKEN)[0] == 200


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://evil.test"}]
)
@pytest.mark.parametrize("path", DATA)
def test_other_sites_read_no_data(path: str, headers: Mapping[str, str]) -> None:
    """Nor do they hold a stream open."""
    assert ask(path, headers)[0] == 403


@pytest.mark.parametrize("path", ["/", "/page/page.css", "/routes", "/nowhere"])
def test_every_answer_is_hardened(path: str) -> None:
    """Also that of what is not there."""
    _, got, _ = ask(path)

    assert {name: got[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert got["Cache-Control"] in {"no-store", "no-cache"}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/", "/page/main.js", *DATA])
def test_nothing_can_be_changed(path: str, method: str) -> None:
    """There is nothing to write to."""
    assert ask(path, method=method)[0] == 405


def test_without_a_page_there_is_none() -> None:
    """Off means that nothing is recorded and nothing answers."""

    async def statuses() -> list[int]:
        async with TestClient(TestServer(create_app(Metrics(), Health(lambda: "stopping"), REPORTS))) as there:
            return [(await there.get(path)).status for path in ("/", "/events", "/routes", "/healthz", "/readyz")]

    assert asyncio.run(statuses()) == [404, 404, 404, 200, 503]


def test_every_file_of_the_page_is_served_and_not_sent_twice() -> None:
    """With its type; a browser that has it is told so."""
    for path in STATIC.iterdir():
        status, got, text = ask(f"/page/{path.name}")
        assert (status, text) == (200, path.read_text())
        assert got["Content-Type"].startswith(("text/", "image/svg+xml"))
        assert ask(f"/page/{path.name}", {"If-None-Match": got["ETag"]})[0] == 304


def test_the_page_is_light() -> None:
    """All of it, uncompressed, is under 100 kB."""
    assert sum(path.stat().st_size for path in STATIC.iterdir()) < 100_000


@pytest.mark.parametrize("name", ["..%2Fpage.py", "%2e%2e%2fpage.py", "none.js"])
def test_only_the_files_of_the_page_are_served(name: str) -> None:
    """Nothing beside them."""
    assert ask(f"/page/{name}")[0] == 404


def test_a_trace_that_is_gone_is_said_to_be() -> None:
    """With a sentence for the person who has its link."""
    status, _, text = ask(f"/traces/{'0f' * 16}")

    assert status == 404
    assert "your backend" in json.loads(text)["error"]


def test_routes_lead_to_traces() -> None:
    """The newest and the slowest, as long as they are here."""
    _, _, text = ask("/routes")

    (route,) = json.loads(text)["routes"]
    assert (route["service"], route["route"], route["requests"], route["kept"]) == ("users", "all", 1, 1)
    assert {one["what"]: one["trace_id"] for one in route["exemplars"]} == {"newest": TRACE_ID, "slowest": TRACE_ID}


def test_a_trial_is_answered() -> None:
    """With what try_rules says, and what a span weighs."""
    status, outcome = try_rules("rate: 0")

    assert (status, outcome["requests"], outcome["kept"], outcome["kept_live"]) == (200, 1, 0, 1)
    assert outcome["bytes_per_span"] > 100


def test_a_trial_may_be_about_one_service() -> None:
    """Rules are those of a plugin entry, and an entry may be a service's."""
    assert try_rules("rate: 1", service="users")[1]["requests"] == 1
    assert try_rules("rate: 1", service="other")[1]["requests"] == 0


def test_rules_that_cannot_be_tried_say_why() -> None:
    """Every fault, with field and value."""
    status, answer = try_rules("rate: 3\nrules: [{rate: 1}]")

    assert status == 422
    assert len(answer["faults"]) == 2


def test_a_trial_comes_from_the_page_itself() -> None:
    """Another site cannot send one, nor can a form."""
    assert ask("/trial", {"Origin": "http://evil.test", "Content-Type": "application/json"}, "POST", "{}")[0] == 403
    assert ask("/trial", {"Content-Type": "text/plain"}, "POST", "{}")[0] == 415


@pytest.mark.parametrize(
    ("body", "status"), [(b"{", 400), (b"[]", 400), (b'{"rules": 1}', 400), (b" " * (MAX_BODY + 1), 413)]
)
def test_a_trial_that_is_none_is_refused(body: bytes, status: int) -> None:
    """Of whatever shape or size."""
    assert ask("/trial", {"Content-Type": "application/json"}, "POST", body)[0] == status


def test_the_stream_begins_with_what_is_there_and_goes_on() -> None:
    """First a greeting, then the traces so far; a page that comes back gets those after its last."""

    async def course() -> list[list[tuple[str, Any]]]:
        recorder = recorded(2)
        async with client(recorder, trace_url="http://jaeger/{trace_id}") as there:
            first = await read_events(there, "/events", "rows")
            recorder.observe(
                record_of(),
                ("", ""),
                CONTEXT,
                "sampled",
                [encode_span(span) for span in spans_of()],
                what_if=UNREDACTED,
            )
            return [first, await read_events(there, f"/events?after={first[-1][1]['id']}", "rows")]

    first, again = asyncio.run(course())

    assert [name for name, _ in first] == ["hello", "traces"]
    assert first[0][1]["trace_url"] == "http://jaeger/{trace_id}"
    assert (first[0][1]["resumed"], again[0][1]["resumed"]) == (False, True)
    assert [row["number"] for row in first[1][1]["rows"]] == [1, 2]
    assert [row["number"] for row in again[1][1]["rows"]] == [3]
    assert (again[1][1]["requests"], again[1][1]["kept"]) == (3, 3)


@pytest.mark.parametrize("after", ["0000.5", "x", ".", "1.1.1", "0000.-1", "9" * 400])
def test_a_page_of_another_process_starts_anew(after: str) -> None:
    """Its numbers mean nothing here."""

    async def first() -> list[tuple[str, Any]]:
        async with client() as there:
            return await read_events(there, f"/events?after={after}", "rows")

    (_, hello), (_, traces) = asyncio.run(first())

    assert hello["resumed"] is False
    assert [row["number"] for row in traces["rows"]] == [1]


def test_pages_are_bounded() -> None:
    """One more is told so, and is let in when another has gone."""

    async def statuses() -> list[int]:
        async with client() as there:
            open_pages = [await there.get("/events") for _ in range(MAX_WATCHERS)]
            refused = (await there.get("/events")).status
            for page in open_pages:
                page.close()
            while (admitted := await there.get("/events")).status != 200:
                await asyncio.sleep(0.01)
            return [*{page.status for page in open_pages}, refused, admitted.status]

    assert asyncio.run(asyncio.wait_for(statuses(), 20)) == [200, 503, 200]


def test_streams_end_when_the_sidecar_does() -> None:
    """An open page delays nothing; aiohttp would wait a minute for it."""

    async def seconds() -> float:
        loop = asyncio.get_running_loop()
        async with client() as there:
            await there.get("/events")
            began = loop.time()
        return loop.time() - began

    assert asyncio.run(seconds()) < 10
