"""Promises of sidecar/ingest/grpc_status.py."""

from __future__ import annotations

import pytest

from otlp_tracing.sidecar.ingest.grpc_status import is_server_error, status_name


@pytest.mark.parametrize(
    ("code", "name"),
    [("0", "OK"), ("5", "NOT_FOUND"), ("16", "UNAUTHENTICATED"), ("17", "UNKNOWN"), ("999", "UNKNOWN")],
)
def test_a_code_has_the_name_that_grpc_gives_it(code: str, name: str) -> None:
    """A number that gRPC does not know is UNKNOWN, as for gRPC's own clients."""
    assert status_name(code) == name


@pytest.mark.parametrize("code", [None, "", "-1", "1.0", "OK", "\uff15"])
def test_anything_but_a_number_is_no_status(code: str | None) -> None:
    """Another plugin, or an upstream that is broken, can write any text into the header."""
    assert status_name(code) is None


def test_the_fault_of_a_client_is_no_error_of_the_server() -> None:
    """By the semantic conventions, NOT_FOUND is for the client alone, and INTERNAL for both."""
    assert [is_server_error(one) for one in ("INTERNAL", "NOT_FOUND", "OK", None)] == [True, False, False, False]
