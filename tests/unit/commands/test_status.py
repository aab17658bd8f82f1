"""Promises of status.py."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from otlp_tracing.commands.option_kinds import Address
from otlp_tracing.commands.screen import Screen
from otlp_tracing.commands.status import show, status
from otlp_tracing.errors import ConfigError

WELL: dict[str, Any] = {
    "destination": "http://collector:4317",
    "protocol": "grpc",
    "state": "ok",
    "reason": "",
    "failing_s": None,
    "last_success_s": 1.5,
    "oldest_s": None,
    "spool_bytes": 0,
    "spool_max_bytes": 1 << 30,
    "received": 12_000,
    "restored": 0,
    "exported": 12_000,
    "rejected": 0,
    "dropped": {},
    "spooled": 0,
    "in_flight": 0,
    "balance": 0,
}
AWAY = {
    **WELL,
    "destination": "http://away:4317",
    "state": "retrying",
    "reason": "UNAVAILABLE: [nobody] is there",
    "failing_s": 7300.0,
    "oldest_s": 125.0,
    "restored": 30,
    "exported": 12_000,
    "dropped": {"spool_full": 10, "corrupt": 0},
    "spooled": 20,
}


FAULTY = {
    "entry": "0f4c",
    "route": "77aa",
    "service": "",
    "traces": False,
    "faults": ["endpoint = http://c:4317/v1/traces: must not have a path", "a\x1b"],
    "since_s": 185.0,
}


@contextmanager
def sidecar(answer: object, token: str | None = None) -> Iterator[Address]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(answer).encode()
            is_let_in = token is None or self.headers["Authorization"] == f"Bearer {token}"
            self.send_response(401 if not is_let_in else 200 if self.path == "/delivery" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield Address("127.0.0.1", server.server_port)
        finally:
            server.shutdown()
            thread.join()


def shown(found: dict[str, Any], width: int = 200) -> str:
    screen = io.StringIO()
    show(Screen(screen, width), found)
    return screen.getvalue()


def test_a_person_sees_what_waits_since_when_and_why() -> None:
    """Each destination in a row, its trouble in words, and whether the books balance."""
    text = shown({"spool_trouble": None, "destinations": [WELL, AWAY]})

    assert "12,000 + 30 restored" in text
    assert "10 spool_full" in text
    assert "corrupt" not in text
    assert "http://away:4317 retrying for 2 h: UNAVAILABLE: [nobody] is there" in text
    assert "2 min" in text
    assert "the books balance" in text


def test_a_destination_of_metrics_is_a_line() -> None:
    """Nothing waits there: state, reason and remedy are all that there is."""
    metrics = {
        "destination": "http://c:4318 (metrics)", "signal": "metrics", "protocol": "http/protobuf", "state": "held",
        "reason": "HTTP 401", "remedy": "set `headers`", "failing_s": 7200, "last_success_s": None,
    }  # fmt: skip
    text = shown({"spool_trouble": None, "destinations": [WELL], "metrics": [metrics]})

    assert "http://c:4318 (metrics) held for 2 h: HTTP 401" in text
    assert "remedy: set `headers`" in text


def test_each_signal_has_its_own_word() -> None:
    """A log record is no span."""
    text = shown({"destinations": [WELL | {"balance": -2}, WELL | {"signal": "logs", "balance": 3}]})

    assert "2 spans and 3 log records are unaccounted for" in text


def test_a_narrow_terminal_gets_every_figure_whole() -> None:
    """In 80 columns, which a pipe and `kubectl exec` have too, each figure has a row of its own."""
    text = shown({"spool_trouble": None, "destinations": [WELL, AWAY]}, width=80)

    for whole in ("12,000 + 30 restored", "10 spool_full", "last success", "http://away:4317", "in flight"):
        assert whole in text
    assert "…" not in text


def test_one_endpoint_with_two_protocols_is_told_apart() -> None:
    """The protocol is beside the endpoint only where it is needed."""
    text = shown({"destinations": [WELL, {**WELL, "protocol": "http/protobuf"}, AWAY]}, 220)

    assert "http://collector:4317 (grpc) " in text
    assert "http://collector:4317 (http/protobuf) " in text
    assert "http://away:4317 (" not in text


def test_destinations_of_one_endpoint_are_told_apart() -> None:
    """By the parts in which they differ, without the value of a header; by a number if these are the same."""
    key, shop = {"header_names": ["x-api-key", "x-tenant"]}, {"service_name": "shop"}
    text = shown({"destinations": [WELL | shop, WELL | shop | key, WELL | {"service_name": "edge"} | key, AWAY]}, 260)

    assert "http://collector:4317 (service.name shop, no headers) " in text
    assert "http://collector:4317 (service.name shop, headers x-api-key x-tenant) " in text
    assert "http://collector:4317 (service.name edge, headers x-api-key x-tenant) " in text
    assert "http://away:4317 (" not in text

    text = shown({"destinations": [WELL | shop, WELL | shop, WELL]}, 260)
    assert "http://collector:4317 (service.name shop, #1) " in text
    assert "http://collector:4317 (service.name shop, #2) " in text
    assert "http://collector:4317 (service.name not set) " in text


def test_the_last_warnings_are_shown() -> None:
    """The five newest lines of the log are below the destinations, or below nothing; a traceback is one line."""
    lines = [
        {"age_s": 100.0 - n, "process": "worker 0", "level": "WARNING", "text": f"line {n}", "count": 1}
        for n in range(6)
    ]
    lines += [{"age_s": 5.0, "process": "serve", "level": "ERROR", "text": "bad\x1b[1m\nTraceback", "count": 1200}]
    text = shown({"destinations": [], "warnings": lines})

    assert "line 1" not in text
    assert "  95 s ago, worker 0: line 5\n  5 s ago (1,200 times), serve: bad\\x1b[1m …\n" in text
    assert "line 5" in shown({"destinations": [WELL], "warnings": lines})


def test_each_entry_that_traces_nothing_is_shown() -> None:
    """However many warnings came since; and no request is waited for then."""
    warning = {"age_s": 1.0, "process": "worker 0", "level": "WARNING", "text": "other", "count": 1}
    part = {**FAULTY, "entry": "", "route": "", "traces": True, "faults": ["this part of the spans is left out: x"]}
    text = shown({"destinations": [], "faulty_entries": [FAULTY, part], "warnings": [warning] * 10})

    assert (
        "entry 0f4c (route 77aa) traces nothing, for 3 min: endpoint = http://c:4317/v1/traces: "
        "must not have a path; a\\x1b\n"
    ) in text
    assert "entry (global) leaves a part out, for 3 min: this part of the spans is left out: x\n" in text
    assert "no destination\n" in text
    assert "entry 0f4c" in shown({"destinations": [WELL], "faulty_entries": [FAULTY]})


def test_a_destination_at_rest_is_not_down() -> None:
    """The meaning of `idle` is told, in a colour that does not alarm."""
    text = shown({"spool_trouble": None, "destinations": [{**WELL, "state": "idle"}]})

    assert "http://collector:4317 idle: nothing came for an hour" in text


def test_the_policies_in_force_are_shown_with_their_sender() -> None:
    """And a wrong version of the file, with the fault."""
    policy = {"file": "/p.yml", "sender": "team", "policies": ["a", "b"], "applied_s": 90.0, "fault": None}
    found: dict[str, Any] = {"spool_trouble": None, "destinations": [WELL]}

    assert "2 policies in force, of team, for 90 s: a, b" in shown({**found, "policy": policy})
    wrong = shown({**found, "policy": {**policy, "fault": "must be a record", "policies": [], "applied_s": None}})
    assert "policy file refused: /p.yml: must be a record" in wrong
    assert "no policy is in force; the file is /p.yml" in wrong
    assert "polic" not in shown({**found, "policy": None})


def test_a_restored_policy_file_is_said() -> None:
    """With the hash of the last good version, which is in force beside the fault of the file."""
    policy = {"file": "/p.yml", "sender": "", "policies": ["a"], "applied_s": 7200.0, "sha256": "0123456789abcdef"}
    text = shown({"destinations": [WELL], "policy": {**policy, "is_restored": True, "fault": "must be a record"}})

    assert "policy file refused: /p.yml: must be a record" in text
    assert (
        "1 policy in force, of an unnamed sender, for 2 h, from the copy of the last good file (0123456789ab): a"
        in text
    )


def test_a_running_debug_session_is_shown() -> None:
    """With its sender, its age, its conditions, and the rest of its time and of its number."""
    session = {
        "sender": "jane, process 7",
        "match": {"consumers": ["gold", "silver"], "statuses": [5], "slower_than_ms": 10},
        "age_s": 20.0,
        "left_s": 280.0,
        "kept": 3,
        "left_requests": 97,
    }
    text = shown({"destinations": [WELL], "debug_session": session})

    assert (
        "debug session of jane, process 7, for 20 s: 5 min or 97 requests left, 3 kept; "
        "consumers gold, silver; statuses 5; slower_than_ms 10" in text
    )
    assert "debug session" not in shown({"destinations": [WELL], "debug_session": None})


def test_what_is_wrong_is_said_first() -> None:
    """A disk that takes nothing, spans that are missing, a destination without its headers."""
    text = shown({"spool_trouble": "disk full", "destinations": [{**WELL, "state": "unknown", "balance": -3}]})

    assert text.startswith("spans and log records are in memory alone: disk full")
    assert "3 spans are unaccounted for" in text
    assert "its headers are not known yet" in text
    assert "no destination yet" in shown({"spool_trouble": None, "destinations": []})


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ({"spool_trouble": None, "destinations": [WELL]}, 0),
        ({"spool_trouble": None, "destinations": []}, 0),
        ({"spool_trouble": None, "destinations": [{**WELL, "state": "idle"}]}, 0),
        ({"spool_trouble": None, "destinations": [WELL, AWAY]}, 1),
        ({"spool_trouble": "disk full", "destinations": [WELL]}, 1),
        ({"spool_trouble": None, "destinations": [WELL], "policy": {"fault": "a"}}, 1),
        ({"spool_trouble": None, "destinations": [WELL], "policy": {"fault": None}}, 0),
        ({"spool_trouble": None, "destinations": [{**WELL, "balance": 1}]}, 1),
        ({"spool_trouble": None, "destinations": [WELL], "faulty_entries": []}, 0),
        ({"spool_trouble": None, "destinations": [WELL], "faulty_entries": [FAULTY]}, 1),
    ],
)
def test_the_exit_code_says_whether_all_is_well(
    found: dict[str, Any], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """And a program gets the JSON as the sidecar has it."""
    with sidecar(found) as address:
        assert status(address, as_json=True) == code

    assert json.loads(capsys.readouterr().out) == found


def test_nobody_there_is_one_sentence() -> None:
    """With the address that was asked."""
    with pytest.raises(ConfigError, match=r"127\.0\.0\.1:1: no sidecar answers there"):
        status(Address("127.0.0.1", 1), as_json=False)
    with sidecar([1]) as address, pytest.raises(ConfigError, match="not a sidecar"):
        status(address, as_json=False)


def test_a_sidecar_with_a_token_is_asked_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Its reports are behind the live page's token; without it a sentence says how it is given."""
    with sidecar({"destinations": [WELL]}, "0123456789abcdef") as address:
        assert status(address, as_json=True, token="0123456789abcdef") == 0
        with pytest.raises(ConfigError, match="--page-token-file"):
            status(address, as_json=True)

    assert "collector:4317" in capsys.readouterr().out
