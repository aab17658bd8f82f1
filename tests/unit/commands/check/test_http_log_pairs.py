"""Promises of commands/check/http_log_pairs.py, through `check`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from otlp_tracing.commands.check.command import check

TRACING: dict[str, Any] = {"name": "otlp-tracing", "config": {"sampling": {"rate": 0.1}}}
ELSEWHERE: dict[str, Any] = {"name": "http-log", "config": {"http_endpoint": "http://logs.example/kong"}}


def logger(**config: Any) -> dict[str, Any]:
    settings = {
        "http_endpoint": "http://127.0.0.1:9465/otlp-tracing/records",
        "headers": {"X-OTLP-Tracing-Token": "{vault://env/otlp-tracing-ingest-token}"},
        "queue": {"max_batch_size": 200},
        **config,
    }
    return {"name": "http-log", "config": settings}


NAMELESS = (("/a", TRACING), ("/b", logger()))


def content(top: list[Any], service: list[Any], route: list[Any], **more: Any) -> dict[str, Any]:
    routes = [{"name": "r", "paths": ["/r"], "plugins": route}]
    return {
        "_format_version": "3.0",
        "services": [{"name": "s", "url": "http://s", "plugins": service, "routes": routes}],
        "plugins": top,
        **more,
    }


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(document: dict[str, Any], hand_over: str = "auto") -> tuple[int, str]:
        file = tmp_path / "kong.yml"
        file.write_text(yaml.safe_dump(document, sort_keys=False))
        return check([file], hand_over=hand_over), capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    "document",
    [
        content([TRACING, logger()], [], []),
        content([], [TRACING, logger()], []),
        content([logger()], [TRACING], [TRACING]),
        content([ELSEWHERE], [TRACING, logger()], []),
        content([logger()], [], [TRACING]),
    ],
)
def test_an_entry_with_an_http_log_has_no_finding(run: Any, document: dict[str, Any]) -> None:
    """In its own scope or a wider one; another log server in a wider scope changes nothing."""
    assert run(document, "kong") == (0, "")
    assert run(document) == (0, "")


@pytest.mark.parametrize(
    ("document", "text"),
    [
        (content([TRACING], [logger()], []), "global: no http-log brings its records to the sidecar"),
        (content([], [TRACING], [logger()]), "service s: no http-log brings its records"),
        (content([logger()], [TRACING, ELSEWHERE], []), "sends its records to another server, not to the sidecar"),
        (content([TRACING, logger()], [], [ELSEWHERE]), "route r: takes the place of the http-log for the sidecar"),
        (content([TRACING, logger(), logger()], [], []), "is the second http-log entry of this scope"),
        (content([TRACING, logger(headers={})], [], []), "headers: must have X-OTLP-Tracing-Token"),
        (content([TRACING, logger(method="PUT")], [], []), "method = PUT: must be POST"),
        (
            {"services": [{"host": "s", "routes": [{"paths": [path], "plugins": [one]}]} for path, one in NAMELESS]},
            "service 1, route 1: no http-log brings its records",
        ),
        (
            content([TRACING, logger()], [], [], consumers=[{"username": "ann", "plugins": [ELSEWHERE]}]),
            "consumer ann: takes the place",
        ),
    ],
)
def test_a_record_that_would_not_come_is_a_fault(run: Any, document: dict[str, Any], text: str) -> None:
    """No http-log, another one that is nearer, two, or one that the sidecar would refuse."""
    code, said = run(document)

    assert code == 2
    assert text in said


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"queue": {}}, "max_batch_size: is 1"),
        ({"queue": {"max_batch_size": 5000}}, "max_batch_size: is over 1000"),
        ({"http_endpoint": "http://sidecar:9465/otlp-tracing/records"}, "http_endpoint: leaves this machine"),
    ],
)
def test_a_costly_setting_is_a_warning(run: Any, config: dict[str, Any], text: str) -> None:
    """It works, so the exit code is 0."""
    code, said = run(content([TRACING, logger(**config)], [], []))

    assert code == 0
    assert f"warning: {text.partition(':')[0]}" in said.replace("queue.", "")
    assert text.partition(": ")[2] in said


def test_who_hands_over_decides(run: Any) -> None:
    """Other log servers are ignored; without one for the sidecar the hand-over given to `dump` decides."""
    document = content([TRACING, ELSEWHERE], [], [])

    assert run(document) == (0, "")
    assert run(document, "kong")[0] == 2
    assert run(content([TRACING, logger()], [], []), "plugin")[0] == 0
    assert run(content([TRACING, {**logger(), "enabled": False}], [], []), "kong")[0] == 2
