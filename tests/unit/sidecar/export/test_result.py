"""Promises of sidecar/export/result.py."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest

from otlp_tracing.sidecar.export.result import Action, grpc_action, http_action, retry_after


def test_a_status_that_is_not_in_the_table_is_final() -> None:
    """A status that OTLP does not call retryable is not retried."""
    assert {grpc_action(code, None) for code in ("UNKNOWN", "NOT_FOUND")} == {Action.DROP}
    assert {http_action(status) for status in (415, 422, 500, 505)} == {Action.DROP}


@pytest.mark.parametrize("status", [301, 302, 307, 308, 404, 405, 421, 501])
def test_an_answer_of_something_else_than_otlp_is_held(status: int) -> None:
    """The endpoint is wrong and not the spans."""
    assert http_action(status) is Action.HOLD_NOT_OTLP
    assert grpc_action("UNIMPLEMENTED", None) is Action.HOLD_NOT_OTLP


@pytest.mark.parametrize("status", [401, 403, 407])
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
