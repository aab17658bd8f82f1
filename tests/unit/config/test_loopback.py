"""Hosts that are this machine alone."""

from __future__ import annotations

import pytest

from otlp_tracing.config.loopback import is_loopback


@pytest.mark.parametrize("host", ["localhost", "page.localhost", "127.0.0.1", "127.8.9.10", "::1", "::1%lo"])
def test_a_name_or_an_address_is_loopback(host: str) -> None:
    """The name localhost, a name below it, and each address of loopback with or without a zone."""
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "10.0.0.1", "mylocalhost", "localhost.example.com"])
def test_every_other_host_is_not(host: str) -> None:
    """Neither all addresses at once, nor a name that only looks like it."""
    assert not is_loopback(host)
