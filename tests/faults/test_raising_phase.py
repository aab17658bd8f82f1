"""A phase that raises wherever it can, thousands of times: no hang, no 500, nothing that grows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest

from e2e.waiting import wait_for
from faults.plugin_server import WORKERS, Group
from faults.under_load import CLIENTS, Load
from load.clients import load_clients
from load.process_figures import Figures, figures

pytestmark = pytest.mark.timeout(600)

EVENTS = 10_000
_WARM_UPS = 2
_LATER = 2  # descriptors that a worker opens in its first second: to the sidecar, and of the sibling that it watches
_BATCHES = 7
_MOST_BATCHES = 20
_MAX_GROWTH_BYTES = 1 << 20  # a batch: two hundred bytes an event, less than the smallest thing an event is made of

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
        """Tell that the phase exists; the server runs access_calls."""

    def log(self, kong):
        """Tell that the phase exists; the server runs log_calls."""

    def access_calls(self):
        """Make up to three calls."""
        return self.run([
            ("kong.request.get_headers", 10),
            ("kong.service.request.set_headers", {"x": "y"}),
            ("kong.log.set_serialize_value", "otlp_tracing", {"a": 1}),
        ])

    def log_calls(self):
        """Make up to three calls."""
        return self.run([("kong.log.serialize",)] * 3)

    def run(self, calls):
        """Make the calls, and raise before one of them or after the last."""
        point, kind = divmod(next(points), 2)
        for number, call in enumerate(calls):
            if number == point:
                raise KINDS[kind]("planted")
            yield call
        raise KINDS[kind]("planted")


KINDS = (ValueError, KeyError)
'''


@pytest.fixture
def probed(prefix: Path, protocol: str, tmp_path: Path) -> Iterator[Group]:
    """Give a plugin server with a plugin that raises."""
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "otlp-tracing.py").write_text(_PROBE)
    with Group(prefix, protocol, plugins) as running:
        yield running


def test_a_phase_may_raise_anywhere(probed: Group) -> None:
    """Ten thousand events that raise answer Kong each, and leave no memory, thread or descriptor behind."""
    # A worker that the machine starves is replaced by the others, as it should be. Then its successor is measured.
    seen = _measured(probed) or _measured(probed) or _measured(probed)

    assert seen, "a worker was replaced in each of three measurements"
    for worker in zip(*seen, strict=True):
        assert _is_flat(worker), worker
        assert len({one.threads for one in worker}) == 1


def _measured(probed: Group) -> list[list[Figures]] | None:
    """Return the workers' figures after each batch of events; None if a worker was replaced meanwhile."""
    workers = probed.wait_until_whole()["worker"]
    try:
        unused = [figures(pid) for pid in workers]
        for _ in range(_WARM_UPS):
            _send(probed, EVENTS)
        seen = [[figures(pid) for pid in workers]]
        while len(seen) <= _BATCHES or (len(seen) <= _MOST_BATCHES and not all(map(_is_flat, zip(*seen, strict=True)))):
            load = _send(probed, EVENTS)
            load.assert_harmless()
            assert load.total("requests") == EVENTS // 2
            wait_for(
                lambda: _lets_go(workers, unused), 30, "the workers close the connections of clients that have ended"
            )
            seen.append([figures(pid) for pid in workers])
    except FileNotFoundError:
        return None
    return seen


def _lets_go(workers: Sequence[int], before: Sequence[Figures]) -> bool:
    return all(figures(pid).descriptors <= old.descriptors + _LATER for pid, old in zip(workers, before, strict=True))


def _is_flat(seen: Sequence[Figures]) -> bool:
    # A leak grows with every batch, however many there are. The garbage collector's oldest generation may grow once,
    # by 7 MiB of tracebacks over MessagePack, in one batch or over several, early or late. The median of the last
    # batches does not contain it.
    last = seen[-_BATCHES - 1 :]
    return median(new.resident_bytes - old.resident_bytes for old, new in pairwise(last)) < _MAX_GROWTH_BYTES


def _send(group: Group, events: int) -> Load:
    load = Load()
    options = ["--concurrency", "8", "--requests", str(events // 2 // CLIENTS), "--seconds", "120", "--warm-up", "0"]
    with load_clients(CLIENTS, group.socket, group.protocol, options, slots=WORKERS) as clients:
        for client in clients:
            client.begin()
        load.results = [client.result() for client in clients]
    print(load)
    return load
