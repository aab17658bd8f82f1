"""Ports to listen on."""

from __future__ import annotations

import socket

import pytest

from otlp_tracing_devtools.demo.ports import HOST, reserve


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def test_a_free_port_is_taken_as_wanted() -> None:
    """The wanted port is used when it is free."""
    wanted = free_port()

    with reserve({"a": wanted}) as ports:
        assert (ports["a"].number, ports["a"].wanted) == (wanted, wanted)
        assert ports["a"].url == f"http://127.0.0.1:{wanted}"


@pytest.mark.parametrize("address", [HOST, "0.0.0.0"])
def test_a_taken_port_is_replaced(address: str) -> None:
    """A port that someone listens on, on loopback or everywhere, is left alone, and the wanted one remembered."""
    with socket.socket() as other:
        other.bind((address, 0))
        other.listen()
        taken = other.getsockname()[1]
        with reserve({"a": taken}) as ports:
            assert ports["a"].number != taken
            assert ports["a"].wanted == taken


def test_two_demos_never_take_one_port() -> None:
    """A port stays claimed after it was handed over, until its demo ends."""
    wanted = free_port()

    with reserve({"a": wanted}) as first:
        first["a"].hand_over()
        with reserve({"a": wanted}) as second:
            assert second["a"].number != wanted
    with reserve({"a": wanted}) as third:
        assert third["a"].number == wanted
