"""Promises of sidecar/export/grpc_metadata.py; test_destination.py has the destinations that are refused."""

from __future__ import annotations

import pytest

from otlp_tracing.sidecar.export.grpc_metadata import metadata_faults


@pytest.mark.parametrize("pair", [("grpc-timeout", "1S"), ("te", "x"), ("key-bin", "x"), ("key", "ä"), ("key", "a\tb")])
def test_a_header_that_grpc_refuses_is_a_fault(pair: tuple[str, str]) -> None:
    """It names the header and not its value, which may be a secret."""
    (fault,) = metadata_faults("headers", [pair])

    assert (fault.field, fault.value) == ("headers", pair[0])


def test_other_headers_are_no_fault() -> None:
    """Keys of backends have visible ASCII characters and spaces."""
    assert not [*metadata_faults("headers", [("authorization", "Bearer abc"), ("x-api-key", "~1")])]
