"""A phase that raises wherever it can, thousands of times: no hang, no 500, nothing that grows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.plugin_server import WORKERS, Group
from faults.under_load import CLIENTS, Load
from load.clients import load_clients
from load.process_figures import Figures, figures

pytestmark = pytest.mark.timeout(600)

EVENTS = 10_000
_WARM_UPS = 4
_MAX_GROWTH_BYTES = 4 << 20

# Raises before the first call to Kong, after it, after the second, ..., never; and from the start again.
_PROBE = '''
from itertools import cycle

Schema, version, priority = (), "0.0.1", 1
points = cycle(range(8))


class Plugin:
    """Raises at the next point."""

    def __init__(self, config):
        """Take any configuration."""

    def access(self, kong):
        """Make up to three calls."""
        self.run([
            lambda: kong.request.get_headers(10),
            lambda: kong.service.request.set_headers({"x": "y"}),
            lambda: kong.log.set_serialize_value("otlp_tracing", {"a": 1}),
        ])

    def log(self, kong):
        """Make up to three calls."""
        self.run([kong.log.serialize] * 3)

    def run(self, calls):
        """Make the calls, and raise before one of them or after the last."""
        point, kind = divmod(next(points), 2)
        for number, call in enumerate(calls):
            if number == point:
                raise KINDS[kind]("planted")
            call()
        raise KINDS[kind]("planted")


KINDS = (ValueError, KeyError)
'''


@pytest.fixture
def probed(prefix: Path, protocol: str, tmp_path: Path) -> Iterator[Group]:
    """Give a plugin server whose plugin raises."""
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "otlp-tracing.py").write_text(_PROBE)
    with Group(prefix, protocol, plugins) as running:
        yield running


def test_a_phase_may_raise_anywhere(probed: Group) -> None:
    """Ten thousand events that raise answer Kong each, and leave no memory, thread or descriptor behind."""
    workers = probed.wait_until_whole()["worker"]
    for _ in range(_WARM_UPS):  # until caches are full and the garbage collector has found its pace, everywhere
        _send(probed, EVENTS)
    before = [figures(pid) for pid in workers]
    load = _send(probed, EVENTS)
    after = [figures(pid) for pid in workers]

    load.assert_harmless()
    assert load.total("requests") == EVENTS // 2
    for old, new in zip(before, after, strict=True):
        _assert_flat(old, new)


def _assert_flat(old: Figures, new: Figures) -> None:
    assert new.resident_bytes - old.resident_bytes < _MAX_GROWTH_BYTES
    assert new.threads == old.threads
    assert new.descriptors <= old.descriptors + 2  # a connection that Kong's double has just opened


def _send(group: Group, events: int) -> Load:
    load = Load()
    options = ["--concurrency", "8", "--requests", str(events // 2 // CLIENTS), "--seconds", "120", "--warm-up", "0"]
    with load_clients(CLIENTS, group.socket, group.protocol, options, slots=WORKERS) as clients:
        for client in clients:
            client.begin()
        load.results = [client.result() for client in clients]
    print(load)
    return load
