"""Promises of sidecar/export/status_codes.py."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest

from otlp_tracing.sidecar.export.result import Action
from otlp_tracing.sidecar.export.status_codes import grpc_action, http_action, http_refusal, retry_after


def test_a_status_that_is_not_in_the_table_is_final() -> None:
    """A status that OTLP does not call retryable is not retried."""
    assert {grpc_action(code, None) for code in ("UNKNOWN", "ALREADY_EXISTS")} == {Action.DROP}
    assert {http_action(status) for status in (409, 412, 500, 507)} == {Action.DROP}


@pytest.mark.parametrize(
    "status", [301, 302, 307, 308, 404, 405, 406, 410, 411, 414, 415, 417, 418, 421, 426, 428, 431, 501, 505]
)
def test_an_answer_of_something_else_than_otlp_is_held(status: int) -> None:
    """The endpoint is wrong and not the spans."""
    assert http_action(status) is Action.HOLD_NOT_OTLP
    assert {grpc_action(code, None) for code in ("UNIMPLEMENTED", "NOT_FOUND")} == {Action.HOLD_NOT_OTLP}


@pytest.mark.parametrize("status", [408, 425, 520, 523, 530])
def test_an_answer_before_the_collector_read_the_request_is_retried(status: int) -> None:
    """The collector, or a proxy that does not reach it, has read no span."""
    assert http_action(status) is Action.RETRY


def test_spans_that_cannot_be_processed_are_found() -> None:
    """422 is about the content, as 400 is."""
    assert {http_action(status) for status in (400, 413, 422)} == {Action.SPLIT}


@pytest.mark.parametrize(
    ("status", "words"),
    [(402, "quota of the account"), (407, "HTTPS_PROXY"), (415, "compression: none"), (511, "wants a login")],
)
def test_the_remedy_is_that_of_the_status(status: int, words: str) -> None:
    """Where the usual one, about key or path, would send a person the wrong way."""
    assert words in http_refusal(status, "why").remedy


@pytest.mark.parametrize("status", [401, 402, 403, 407, 451, 511])
def test_an_answer_about_authority_is_held(status: int) -> None:
    """The key is wrong and not the spans."""
    assert http_action(status) is Action.HOLD_UNAUTHORIZED
    assert {grpc_action(code, 1.0) for code in ("UNAUTHENTICATED", "PERMISSION_DENIED")} == {Action.HOLD_UNAUTHORIZED}


def test_exhausted_resources_are_worth_a_retry_only_if_the_collector_says_when() -> None:
    """RESOURCE_EXHAUSTED without RetryInfo means that this request is too much."""
    assert grpc_action("RESOURCE_EXHAUSTED", None) is Action.SPLIT
    assert grpc_action("RESOURCE_EXHAUSTED", 0.0) is Action.RETRY


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("0", 0),
        (" 120 ", 120),
        ("99999999999999999999", 3600),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
        ("Sun, 06 Nov 99999 08:49:37 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    """Anything else is ignored, and an hour is the longest delay."""
    assert retry_after(value) == seconds


def test_a_date_is_waited_for() -> None:
    """As many seconds as it is away."""
    later = datetime.now(timezone.utc) + timedelta(seconds=60)

    wait = retry_after(format_datetime(later, usegmt=True))
    assert wait is not None
    assert 55 < wait <= 60
