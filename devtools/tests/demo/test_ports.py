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


def test_no_two_names_get_the_same_port() -> None:
    """Nor do two demos that ask at the same time."""
    wanted = free_port()

    with reserve({"a": wanted, "b": wanted}) as first, reserve({"a": wanted}) as second:
        assert len({first["a"].number, first["b"].number, second["a"].number}) == 3


def test_a_port_handed_over_can_be_listened_on() -> None:
    """At once, while the others are still held."""
    with reserve({"a": free_port(), "b": free_port()}) as ports, socket.socket() as mine:
        mine.bind((HOST, ports["a"].hand_over()))
        mine.listen()


def test_a_port_stays_claimed_after_it_was_handed_over() -> None:
    """Another demo takes another port, even before anyone listens there."""
    wanted = free_port()

    with reserve({"a": wanted}) as first:
        first["a"].hand_over()
        with reserve({"a": wanted}) as second:
            assert second["a"].number != wanted
    with reserve({"a": wanted}) as third:
        assert third["a"].number == wanted
