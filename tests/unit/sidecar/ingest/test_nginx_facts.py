"""Promises of sidecar/ingest/nginx_facts.py."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nginx_records import VERSIONS, recorded
from otlp_tracing.paths import NGINX_FACTS
from otlp_tracing.sidecar.ingest.nginx_facts import FACTS, LOG_FIELD, VERSION, NginxFacts
from otlp_tracing.sidecar.ingest.request_record import decode

_NAMES = ("plain", "refused", "unrouted", "long_phases", "grpc_ok", "grpc_unavailable", "client_certificate")


def facts_of(**facts: Any) -> NginxFacts:
    return NginxFacts({"version": VERSION, **facts})


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", _NAMES)
def test_every_fact_of_a_real_kong_is_read(version: str, name: str) -> None:
    """None is ignored, whichever Kong wrote them and however the request ended."""
    facts = NginxFacts(recorded(version, name)[LOG_FIELD])

    assert facts.ignored == []
    assert facts.protocol_version == ("2" if name.startswith("grpc") else "1.1")
    assert set(facts.phase_ms) >= {"rewrite", "access", "header_filter", "body_filter"}


@pytest.mark.parametrize("version", VERSIONS)
def test_each_try_has_its_own_times(version: str) -> None:
    """A try that never connected has no time of a connection, and keeps its place."""
    assert NginxFacts(recorded(version, "refused")[LOG_FIELD]).tries == [
        {"response": 0.0},
        {"response": pytest.approx(0, abs=0.01)},
    ]
    assert facts_of(connect="0.001, - : 0.002", response="0.1, 0.2 : 0.3").tries == [
        {"connect": 0.001, "response": 0.1},
        {"response": 0.2},
        {"connect": 0.002, "response": 0.3},
    ]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_status_in_the_trailers_is_the_calls(version: str) -> None:
    """A gRPC error under HTTP 200 after a message is an error if the server is at fault."""
    unavailable = decode(json.dumps(recorded(version, "grpc_unavailable")).encode())
    exhausted = decode(json.dumps(recorded(version, "grpc_resource_exhausted")).encode())
    fine = decode(json.dumps(recorded(version, "grpc_ok")).encode())

    assert [one.status for one in (unavailable, exhausted, fine)] == [200, 200, 200]
    assert (unavailable.grpc_status, unavailable.error_type) == ("UNAVAILABLE", "UNAVAILABLE")
    assert (exhausted.grpc_status, exhausted.error_type) == ("RESOURCE_EXHAUSTED", None)
    assert (fine.grpc_status, fine.error_type) == ("OK", None)


def test_a_header_that_names_the_status_does_not_hide_it() -> None:
    """CORS for browsers exposes `grpc-status` by its name."""
    log = recorded(VERSIONS[0], "grpc_unavailable")
    log["response"]["headers"]["access-control-expose-headers"] = "grpc-status,grpc-message"

    assert decode(json.dumps(log).encode()).grpc_status == "UNAVAILABLE"


@pytest.mark.parametrize(
    ("protocol", "version"),
    [("HTTP/1.0", "1.0"), ("HTTP/1.1", "1.1"), ("HTTP/2.0", "2"), ("HTTP/3.0", "3"), ("", None)],
)
def test_the_version_is_written_as_the_conventions_have_it(protocol: str, version: str | None) -> None:
    """Without a zero from 2 on."""
    assert facts_of(protocol=protocol).protocol_version == version


@pytest.mark.parametrize(
    ("wrong", "ignored"),
    [
        ({"version": 2}, "version"),
        ({"version": None}, "version"),
        ({"protocol": 1.1}, "protocol"),
        ({"protocol": "SPDY/3"}, "protocol"),
        ({"connect": 0.001}, "connect"),
        ({"connect": ["0.001"]}, "connect"),
        ({"response": "0.001, soon"}, "response"),
        ({"header": "0.001," * 200}, "header"),
        ({"grpc_status": 8}, "grpc_status"),
        ({"grpc_status": "-1"}, "grpc_status"),
        ({"access_time": "3", "access_start": 1}, "access"),
        ({"access_time": 3}, "access"),
        ({"access_time": True, "access_start": 1}, "access"),
        ({"access_time": -1, "access_start": 1}, "access"),
        ({"access_time": 1e300, "access_start": 1}, "access"),
        ({"balancer_time": {}}, "balancer"),
        ({"server_name": 7}, "server_name"),
        ({"server_name": "x" * 256}, "server_name"),
        ({"client_subject": ["CN=a"]}, "client_subject"),
        ({"client_subject": "x" * 2049}, "client_subject"),
        ({"client_fingerprint": "not hexadecimal"}, "client_fingerprint"),
    ],
)
def test_a_wrong_fact_is_ignored_alone(wrong: dict[str, Any], ignored: str) -> None:
    """It is named once, and the other facts count."""
    good = {"protocol": "HTTP/1.1", "rewrite_time": 1, "rewrite_start": 5, "client_verify": "SUCCESS"}

    facts = facts_of(**(good | wrong))

    assert facts.ignored == [ignored]
    assert facts.protocol_version == (None if ignored == "protocol" else "1.1")
    assert facts.phase_ms == {"rewrite": 1}
    assert facts.attributes == {"nginx.ssl_client_verify": "SUCCESS"}


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
_FIELDS = st.sampled_from([*FACTS, "access_time", "access_start", "balancer_time", "rewrite_time", "x"])


@given(_ANYTHING | st.dictionaries(_FIELDS, _ANYTHING))
def test_anything_can_be_in_the_field(field: Any) -> None:
    """The result names known facts alone, so that a counter of them is bounded."""
    facts = NginxFacts(field)

    assert set(facts.ignored) <= set(FACTS)
    assert len(facts.ignored) == len(set(facts.ignored))


def test_the_snippet_and_its_reader_have_the_same_facts() -> None:
    """A fact that is put into the record and not read is a cost without a use; and the versions are equal."""
    text = NGINX_FACTS.read_text()
    written = set(re.findall(r"^ {4}(\w+) = |^ +facts\.(\w+) = ", text, re.MULTILINE))
    names = {re.sub(r"_(start|time)$", "", a or b) for a, b in written}

    assert names == set(FACTS)
    assert f"version = {VERSION},\n" in text
    assert f'"{LOG_FIELD}"' in text
