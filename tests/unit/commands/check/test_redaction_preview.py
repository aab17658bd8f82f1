"""Promises of redaction_trial.py."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from otlp_tracing.commands.check.redaction_preview import Sample, read_samples, show
from otlp_tracing.commands.screen import Screen
from otlp_tracing.errors import ConfigError

YAML = """
- request: GET /users/alice%40example.com?token=abc&page=2
  headers: {X-Note: "card 4111 1111 1111 1111"}
  response: {status: 302, headers: {Location: "https://u:p@host/next"}}
- request: GET /healthz
  route: orders
"""
HTTP = """POST /pay?a=1 HTTP/1.1
X-Api-Key: hunter2

HTTP/1.1 201 Created
X-Mail: a@b.example

### the next
GET /x
"""
KONG = """
_format_version: "3.0"
services:
  - name: users
    url: http://users
    routes:
      - name: orders
        paths: [/]
        plugins: [{name: otlp-tracing, config: {redaction: {detectors: [], query: none}}}]
    plugins: [{name: otlp-tracing, config: {redaction: {mode: drop}}}]
"""


def shown(samples: Path, kong_yml: Path | None = None) -> str:
    stream = io.StringIO()
    assert show(samples, kong_yml, Screen(stream)) == 0
    return stream.getvalue()


def file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_before_and_after_are_shown_with_the_rule(tmp_path: Path) -> None:
    """For each attribute in which something was found."""
    text = shown(file(tmp_path, "samples.yml", YAML))

    assert "token=abc&page=2" in text
    assert "token=REDACTED&page=2" in text
    assert "card [REDACTED]" in text
    assert "https://REDACTED:REDACTED@host/next" in text
    assert all(rule in text for rule in ("email", "credit_card", "userinfo", "sensitive_key"))
    assert text.rstrip().endswith("nothing found")


def test_each_entry_shows_what_it_does(tmp_path: Path) -> None:
    """A sample for one route is tried with that route's entry alone."""
    text = shown(file(tmp_path, "samples.yml", YAML), file(tmp_path, "kong.yml", KONG))

    assert text.count("by service users\n") == 1
    assert text.count("by service users, route orders\n") == 2
    assert "(left out)" in text


def test_a_route_without_an_entry_has_its_services(tmp_path: Path) -> None:
    """Nothing shown would look like nothing found."""
    text = shown(file(tmp_path, "samples.yml", "- {request: GET /x, route: health}"), file(tmp_path, "kong.yml", KONG))

    assert text.count("by service users\n") == 1
    assert "route orders" not in text


def test_requests_can_be_written_as_http_has_them(tmp_path: Path) -> None:
    """With their answers, if they have one."""
    assert list(read_samples(file(tmp_path, "samples.http", HTTP))) == [
        Sample("POST", "/pay?a=1", {"X-Api-Key": "hunter2"}, 201, {"X-Mail": "a@b.example"}),
        Sample("GET", "/x"),
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yml", "request: GET /"), ("a.yml", "- 1"), ("a.yml", "{"), ("a.json", "[[]]"), ("a.http", "h"),
        ("a.yml", "- {request: GET /, headers: {X-Day: 2026-13-45}}"), ("a.yml", "[" * 5_000),
    ],
)  # fmt: skip
def test_what_is_no_sample_is_refused_in_a_sentence(tmp_path: Path, name: str, text: str) -> None:
    """That says which file."""
    with pytest.raises(ConfigError, match=name):
        shown(file(tmp_path, name, text))


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        ("response: 302", "[2].response = 302: must be a record, {name: value, …}"),
        ("response: {status: abc}", '[2].response.status = "abc": must be a number from 100 to 599'),
        ("response: {status: 99}", "[2].response.status = 99: must be a number from 100 to 599"),
        ("response: {status: null}", "[2].response.status = null: must be a number from 100 to 599"),
        ("response: {headers: [a]}", "[2].response.headers = ['a']: must be a record, {name: value, …}"),
        ("headers: x", '[2].headers = "x": must be a record, {name: value, …}'),
    ],
)
def test_a_part_that_is_none_is_refused_in_a_sentence(tmp_path: Path, part: str, sentence: str) -> None:
    """The sentence has the place, the value and the rule."""
    path = file(tmp_path, "a.yml", f"- request: GET /a\n- request: GET /b\n  {part}\n")

    with pytest.raises(ConfigError) as refused:
        shown(path)
    assert str(refused.value) == f"{path}, {sentence}"


def test_a_part_that_is_left_empty_is_as_none(tmp_path: Path) -> None:
    """`headers:` with nothing behind it is how a person begins."""
    path = file(tmp_path, "a.yml", "- request: GET /a\n  headers:\n  response:\n")

    assert list(read_samples(path)) == [Sample("GET", "/a")]


def test_a_tracestate_is_shown_as_it_leaves(tmp_path: Path) -> None:
    """It is no attribute, and is masked, never left out."""
    token = f"ghp_{'aB3dE6gH9jK2' * 3}"
    text = shown(file(tmp_path, "a.http", f"GET /\ntraceparent: 00-{'1' * 32}-{'2' * 16}-01\ntracestate: v={token}\n"))

    assert "(left out)" not in text
    _, _, change = text.partition("(tracestate)")
    before, after = change.splitlines()[1:3]
    assert f"v={token}" in before
    assert "v=REDACTED" in after


def test_an_entry_with_a_fault_is_refused(tmp_path: Path) -> None:
    """As `check` would."""
    kong = file(tmp_path, "kong.yml", KONG.replace("mode: drop", "patterns: [{name: p, pattern: '('}]"))

    with pytest.raises(ConfigError, match="RE2 accepts"):
        shown(file(tmp_path, "samples.yml", YAML), kong)
