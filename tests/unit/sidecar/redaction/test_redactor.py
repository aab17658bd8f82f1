"""Promises of sidecar/redaction/redactor.py, with scan, places, strings and replacement behind it."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otlp_tracing.config.settings import Settings
from otlp_tracing.context import SpanContext
from otlp_tracing.sidecar.otlp.encoder import encode_span
from otlp_tracing.sidecar.redaction.pseudonyms import Pseudonyms
from otlp_tracing.sidecar.redaction.redactor import shared_redactor
from otlp_tracing.sidecar.spans.model import AttributeValue, SpanRecord

KEY = "0123456789abcdef"
Noted = list[tuple[str, str, str, str]]


def span_of(name: str = "GET /a", /, **attributes: Any) -> SpanRecord:
    dotted = {key.replace("__", "."): value for key, value in attributes.items()}
    return SpanRecord(b"t" * 16, b"s" * 8, None, name, "server", 1, 2, dotted, 3, "", is_error=False)


def redacted(span: SpanRecord, **redaction: Any) -> tuple[SpanRecord, Noted]:
    noted: Noted = []
    redactor = shared_redactor(Settings.from_config({"redaction": redaction}).redaction)
    return redactor.redact(span, lambda *finding: noted.append(finding)), noted


def values_of(span: SpanRecord, **redaction: Any) -> dict[str, AttributeValue]:
    return dict(redacted(span, **redaction)[0].attributes)


def test_a_span_without_secrets_is_the_same_span() -> None:
    """Not even a copy."""
    span = span_of(url__path="/users/42", url__query="page=1", kong__request__id="5f3b2c6a9d8e4f1b", size=3)

    assert redacted(span) == (span, [])
    assert redacted(span)[0] is span


def test_every_string_is_looked_at() -> None:
    """The span's name, attributes, items of lists, in whatever place."""
    span = span_of("GET /alice@example.com", a="x alice@example.com", b=["y", "alice@example.com"], c=True, d=4.0)
    result, noted = redacted(span)

    assert result.name == "GET /[REDACTED]"
    assert result.attributes == {"a": "x [REDACTED]", "b": ["y", "[REDACTED]"], "c": True, "d": 4.0}
    assert {(attribute, rule, action) for attribute, rule, action, _ in noted} == {
        (name, "email", "redacted") for name in ("", "a", "b")
    }


def test_a_tracestate_is_looked_at_too() -> None:
    """The span's and that of the span it links to; only in what is exported, and it stays a tracestate."""
    link = SpanContext(b"\x05" * 16, b"\x06" * 8, 1, "v=alice@example.com")
    span = dataclasses.replace(span_of(), trace_state="ot=th:8,v=alice@example.com", links=(link,))
    result, _ = redacted(span, mode="drop")

    assert result.trace_state == "ot=th:8,v=REDACTED"
    assert [one.trace_state for one in result.links] == ["v=REDACTED"]


def test_a_route_is_no_name_and_value() -> None:
    """Neither is the span's name, nor a vendor's key in the tracestate: they come from configurations."""
    span = dataclasses.replace(
        span_of("GET /keys/key:rotate", http__route="/key:rotate"), trace_state="auth=1,token=t:2"
    )

    assert redacted(span)[0] is span


def test_names_hide_values() -> None:
    """Of parameters, headers and baggage; credentials' headers whatever the configuration says."""
    span = span_of(
        url__query="q=shoes&api_key=hunter2",
        url__full="http://users/a?token=hunter2&page=2#f",
        http__target="/a?password=x",
        http__request__header__cookie=["a=1"],
        baggage__api_key="k",
        baggage__tenant="blue",
        **{"http.request.header.x-api-key": ["1", "2"], "http.response.header.location": ["/n?token=h&page=2"]},
    )

    assert values_of(span, sensitive_keys=["key", "token"], extra_sensitive_keys=["password"]) == {
        "url.query": "q=shoes&api_key=REDACTED",
        "url.full": "http://users/a?token=REDACTED&page=2#f",
        "http.target": "/a?password=REDACTED",
        "http.request.header.cookie": ["[REDACTED]"],
        "baggage.api_key": "[REDACTED]",
        "baggage.tenant": "blue",
        "http.request.header.x-api-key": ["[REDACTED]", "[REDACTED]"],
        "http.response.header.location": ["/n?token=REDACTED&page=2"],
    }


def test_queries_can_be_kept_and_names_be_safe() -> None:
    """What the configuration calls safe is not found a second time, as a text."""
    span = span_of(url__query="sort_key=a&token=b")

    assert values_of(span, query="none")["url.query"] == "sort_key=a&token=b"
    assert values_of(span, safe_query=["sort_key"])["url.query"] == "sort_key=a&token=REDACTED"
    assert values_of(span, query="all", safe_query=["token"])["url.query"] == "sort_key=REDACTED&token=b"
    assert values_of(span_of(url__query="secretvalue"), query="all")["url.query"] == "REDACTED"


def test_userinfo_goes_whatever_is_configured() -> None:
    """As the semantic conventions want it."""
    span = span_of(url__full="https://alice:open@users/", **{"http.request.header.referer": ["https://t@h/"]})

    assert values_of(span, detectors=[], sensitive_keys=[], query="none", mode="drop", dry_run=True) == {
        "url.full": "https://REDACTED:REDACTED@users/",
        "http.request.header.referer": ["https://REDACTED@h/"],
    }


@pytest.mark.parametrize(
    ("url", "left"),
    [
        ("https://alice:secret@example.com/a", "https://REDACTED:REDACTED@example.com/a"),
        ("https://alice:secret@example.com:8443/a", "https://REDACTED:REDACTED@example.com:8443/a"),
        ("https://alice@example.com/a?m=bob@example.com", "https://REDACTED@example.com/a?m=REDACTED"),
        ("https://alice:a@b.example@example.com/a", "https://REDACTED:REDACTED@example.com/a"),
        ("/?u=https%3A%2F%2Falice%3Asecret%40example.com%2F", "/?u=https%3A%2F%2FREDACTED:REDACTED%40example.com%2F"),
    ],
)  # fmt: skip
def test_the_host_behind_userinfo_stays(url: str, left: str) -> None:
    """The last of the userinfo and the host look like an e-mail address together, and are none."""
    assert values_of(span_of(url__full=url)) == {"url.full": left}


def test_a_url_stays_a_url() -> None:
    """In it the mask has no brackets."""
    assert values_of(span_of(url__path="/u/a%40example.com/x"))["url.path"] == "/u/REDACTED/x"


def test_hash_is_the_same_wherever_the_value_stands() -> None:
    """Encoded or not, in capitals or not, by name or by content."""
    pseudonym = Pseudonyms(KEY).pseudonym("alice@example.com")
    span = span_of(url__path="/u/Alice%40example.com", url__query="m=alice@example.com&token=alice%40example.com")

    assert values_of(span, mode="hash", hash_key=KEY) == {
        "url.path": f"/u/{pseudonym}",
        "url.query": f"m={pseudonym}&token={pseudonym}",
    }


def test_hash_without_a_key_masks(caplog: pytest.LogCaptureFixture) -> None:
    """And says so, once."""
    assert values_of(span_of(a="alice@example.com"), mode="hash") == {"a": "[REDACTED]"}
    assert [record.message for record in caplog.records] == ["redaction.hash_key is unset: the mode hash masks values"]


def test_drop_removes_the_parameter_or_the_attribute() -> None:
    """An item of a list; the list with its last item. A span's name is masked: a span has to have one."""
    span = span_of(
        "GET alice@example.com",
        url__query="a=1&token=b&c=2",
        a="alice@example.com",
        b=["alice@example.com", "bob"],
        c=["alice@example.com"],
        **{"http.request.header.cookie": ["x"]},
    )
    result, _ = redacted(span, mode="drop")

    assert result.name == "GET [REDACTED]"
    assert result.attributes == {"url.query": "a=1&c=2", "b": ["bob"]}


def test_detectors_and_patterns_have_modes_of_their_own() -> None:
    """The rest has the mode of all."""
    span = span_of(url__query="token=x", a="alice@example.com ORD-12345678 4111111111111111")
    redaction = {
        "hash_key": KEY,
        "modes": [{"detector": "email", "mode": "hash"}, {"detector": "sensitive_key", "mode": "drop"}],
        "patterns": [{"name": "order", "pattern": "ORD-[0-9]{8}", "mode": "hash"}],
    }
    alice, order = (Pseudonyms(KEY).pseudonym(value) for value in ("alice@example.com", "ORD-12345678"))

    assert values_of(span, **redaction) == {"url.query": "", "a": f"{alice} {order} [REDACTED]"}


def test_dry_run_reports_and_lets_go(caplog: pytest.LogCaptureFixture) -> None:
    """What is found by content; what is hidden by name stays hidden. It is said loudly."""
    span = span_of(url__query="token=x&m=alice@example.com", a="ORD-1 password=y")
    patterns = [{"name": "order", "pattern": "ORD-[0-9]"}]
    result, noted = redacted(span, dry_run=True, patterns=patterns)

    assert result.attributes == {
        "url.query": "token=REDACTED&m=alice@example.com",
        "a": "ORD-1 password=[REDACTED]",
    }
    assert ("url.query", "email", "reported", "alice@example.com") in noted
    assert ("a", "order", "reported", "ORD-1") in noted
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("password=hunter2", "password=[REDACTED]"),
        ("password=a{b@example.com", "password=[REDACTED]{b@example.com"),
        ("-----BEGIN PRIVATE KEY----- password=hunter2", "-----BEGIN PRIVATE KEY----- password=[REDACTED]"),
        ("https://alice@example.com/", "https://REDACTED@example.com/"),
    ],
)
@pytest.mark.parametrize("attribute", ["a", "http.request.header.referer"])
def test_dry_run_lets_nothing_go_along_with_what_it_reports(attribute: str, text: str, left: str) -> None:
    """What is hidden whatever the configuration stays hidden where a finding that is only reported overlaps it."""
    result, _ = redacted(
        span_of(**{attribute: text}), dry_run=True, patterns=[{"name": "own", "pattern": r"password=\S+"}]
    )

    assert result.attributes == {attribute: left}


def test_dry_run_reports_what_overlaps_something_hidden() -> None:
    """Both are noted, each for what became of it."""
    patterns = [{"name": "own", "pattern": r"password=\S+"}]
    _, noted = redacted(span_of(a="password=hunter2"), dry_run=True, patterns=patterns)

    assert sorted(noted) == [
        ("a", "own", "reported", "password=hunter2"),
        ("a", "sensitive_key", "redacted", "hunter2"),
    ]


@pytest.mark.parametrize(("attribute", "mask"), [("url.full", "REDACTED"), ("http.route", "[REDACTED]")])
def test_a_name_that_hides_nothing_does_not_cover_what_content_shows(attribute: str, mask: str) -> None:
    """In queries that are kept, and where names come from the configuration."""
    result, noted = redacted(span_of(**{attribute: "/a?key=user:alice@example.com"}), query="none")

    assert result.attributes == {attribute: f"/a?key=user:{mask}"}
    assert [rule for _, rule, _, _ in noted] == ["email"]


@pytest.mark.parametrize(
    ("pattern", "texts", "left"),
    [
        ("session=[^&]*", ["session=abc", "/r", "route"], ["[REDACTED]", "/r", "route"]),
        ("session=[^&]*", ["page=1&session=abc", "/session=d", "x"], ["page=1&[REDACTED]", "/[REDACTED]", "x"]),
        (r"y\s*y", ["xy", "yz", "yyx"], ["xy", "yz", "[REDACTED]x"]),
        (r"\b|x", ["", "a", "ax"], ["", "a", "a[REDACTED]"]),
        (r"y\s", ["xy", "y y", "z"], ["xy", "[REDACTED]y", "z"]),
        (r"(?:^|\s)x", ["a x b", "x", "ax"], ["a[REDACTED] b", "[REDACTED]", "ax"]),
        ("[^&]+$", ["a&b%20c", "d", "é&%26", "g%26h"], ["a&[REDACTED]", "[REDACTED]", "é&%26", "g%26[REDACTED]"]),
    ],
)  # fmt: skip
def test_a_pattern_does_not_reach_beyond_its_string(pattern: str, texts: list[str], left: list[str]) -> None:
    """Strings are searched together, and `[^&]` also matches what stands between them; found is what each has."""
    assert values_of(span_of(a=texts), patterns=[{"name": "p", "pattern": pattern}]) == {"a": left}


def test_a_pattern_sees_what_an_encoding_hides() -> None:
    """And the ends of a value where it says so."""
    patterns = [{"name": "p", "pattern": "^order 1$"}]

    assert values_of(span_of(a="order%201", b="my order 1"), patterns=patterns) == {
        "a": "[REDACTED]",
        "b": "my order 1",
    }


def test_a_long_value_loses_its_end() -> None:
    """And with it a secret that the cut would have divided."""
    secret = "alice" + "a" * 49 + "@example.com"
    text = "x " * 1700 + secret + " y" * 1000
    value = values_of(span_of(a=text))["a"]
    _, noted = redacted(span_of(a=text))

    assert isinstance(value, str)
    assert len(value) < 3600
    assert value.endswith("[REDACTED]" + " y" * ((3584 - 3400 - len(secret)) // 2) + "…")
    assert [rule for _, rule, _, _ in noted] == ["length", "email"]
    assert "@" not in str(values_of(span_of(a="x " * 1790 + secret + "y" * 2000))["a"])


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"https://alice:{'p' * 5000}@host/", "https://REDACTED:REDACTED…"),
        (f"https://al@ice:{'p' * 5000}@host/", "https://REDACTED:REDACTED…"),
        (f"/a?u=https%3A%2F%2Falice%3A{'p' * 5000}%40host", "/a?u=https%3A%2F%2FREDACTED:REDACTED…"),
        (f"https://{'t' * 5000}@host/", "https://REDACTED…"),
    ],
)
def test_userinfo_goes_though_its_end_is_cut_off(text: str, left: str) -> None:
    """No host is as long: what stands before the cut without an end belongs to a user or a password."""
    assert values_of(span_of(**{"http.request.header.referer": [text]})) == {"http.request.header.referer": [left]}


def test_a_long_url_without_userinfo_keeps_its_host() -> None:
    """A path, a query or a space comes before the cut."""
    for url in (f"https://host/{'p' * 5000}", f"https://host?{'p' * 5000}", f"//host {'p ' * 2500}"):
        assert str(values_of(span_of(a=url))["a"]) == url[:3584] + "…"


def test_what_costs_too_much_is_replaced_whole() -> None:
    """Under a rule of its own."""
    hostile = " ".join(["Bearer aaaaaaaaaaaaaaaa1 a@b.cc eyJhbGciOiJIUzI1NiJ9.e30.x"] * 40)
    result, noted = redacted(span_of(a=hostile, b="fine"))

    assert result.attributes == {"a": "[REDACTED]", "b": "fine"}
    assert noted == [("a", "budget", "redacted", hostile)]


@pytest.mark.parametrize("pattern", ["x", r"x\s*"])
def test_a_string_that_costs_a_pattern_too_much_is_alone_in_it(pattern: str) -> None:
    """It is replaced whole; what comes before it and after is looked at as ever."""
    span = span_of(a="one x", b="x" * 1000, c="last", d="x%201 y")
    result, noted = redacted(span, patterns=[{"name": "p", "pattern": pattern}])

    assert result.attributes == {
        "a": "one [REDACTED]",
        "b": "[REDACTED]",
        "c": "last",
        "d": "[REDACTED]%201 y" if pattern == "x" else "[REDACTED]1 y",
    }
    assert [(name, rule) for name, rule, _, _ in noted] == [("a", "p"), ("b", "budget"), ("d", "p")]


def test_no_client_blanks_what_kong_says_of_the_route() -> None:
    """Though it sends the longest of strings, made to use up what there is for the patterns."""
    ours = {"http.route": "/api/{id}", "kong.route.name": "orders"}
    hostile = {"url.query": "a@b.cc&" * 1000, "url.path": "/x" * 4000, "user_agent.original": "ORD-1 " * 1000}
    patterns = [{"name": "p", "pattern": "ORD-[0-9]|x"}, {"name": "q", "pattern": "[ab]{150}c"}]
    values = values_of(span_of(**hostile, **ours), patterns=patterns)

    assert {name: values[name] for name in ours} == ours
    assert "ORD" not in str(values)


def test_lone_surrogates_are_replaced() -> None:
    """They would keep the span from being encoded, and RE2 from looking at it."""
    result, _ = redacted(span_of(a="\ud800 alice@example.com"), patterns=[{"name": "p", "pattern": "zzz"}])

    assert result.attributes == {"a": "? [REDACTED]"}


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["url.query", "url.path", "url.full", "a"]), st.text(max_size=200)))
def test_no_string_is_too_odd(attributes: dict[str, str]) -> None:
    """Whatever the strings, there is a span that can be encoded."""
    redaction = {"detectors": ["email", "jwt", "credentials", "credit_card", "iban", "cloud_key", "phone", "ip"]}

    assert encode_span(redacted(span_of(**attributes), **redaction)[0])


def test_entries_that_redact_alike_share_a_redactor() -> None:
    """A thousand entries with one configuration take the memory of one redactor; another configuration has another."""
    one, same, other = (
        Settings.from_config({"endpoint": f"http://{host}:4317", "redaction": {"mode": mode}}).redaction
        for host, mode in (("a", "mask"), ("b", "mask"), ("a", "drop"))
    )

    assert shared_redactor(one) is shared_redactor(same)
    assert shared_redactor(one) is not shared_redactor(other)
