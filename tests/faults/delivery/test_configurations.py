"""Configurations change for months: endpoints move, keys change. A destination releases its resources."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from e2e.waiting import wait_for
from faults.delivery.books import destinations, read_books
from faults.delivery.issue import SPANS_A_REQUEST
from faults.delivery.scene import Scene, StartScene, entry
from load.process_figures import Figures
from otlp_tracing.plugin.emitter import Origin
from otlp_tracing.sidecar.export.exporters import MAX_IDLE, MAX_SUSPENDED

pytestmark = pytest.mark.timeout(3600)

_EACH = MAX_IDLE + 64  # in each round: more than stay awake
_MOST_ROUNDS = 7
_SUSPEND_SECONDS = 60.0  # it looks every ten
_MAX_DESCRIPTORS = MAX_IDLE + 32  # a connection each, and those that a sidecar has anyway
# In a round: 10 kB for each plugin entry, of which 4,096 are remembered, and a random part. A destination that stays
# awake takes 45 kB, which would be 14 MiB.
_MAX_GROWTH_BYTES = 9 << 20


def _moved(scene: Scene, number: int) -> dict[str, Any]:
    return entry(f"{scene.destination}/v1/traces?moved={number}", scene.run, protocol="http/protobuf")


def _new_key(scene: Scene, number: int) -> dict[str, Any]:
    return entry(scene.destination, scene.run, headers=[f"x-api-key: {number}"])


@pytest.mark.parametrize(("http", "config"), [(True, _moved), (False, _new_key)], ids=["endpoint", "key"])
def test_destinations_one_after_another(
    start_scene: StartScene, http: bool, config: Callable[[Scene, int], dict[str, Any]]
) -> None:
    """One destination after another takes no more connections, threads and memory than a bounded number of them."""
    with start_scene(http=http) as scene:
        live = scene.producer.origin

        def use(first: int) -> Figures:
            for number in range(first, first + _EACH):
                scene.producer.origin = Origin.of(config(scene, number))
                scene.producer.send(1)
            scene.producer.origin = live
            scene.send(1)
            wait_for(lambda: scene.ledger.distinct() == SPANS_A_REQUEST * scene.run.issued, 60, "all of it arrives")
            wait_for(
                lambda: scene.sidecar.figures().descriptors <= _MAX_DESCRIPTORS, _SUSPEND_SECONDS, "some come to rest"
            )
            return scene.sidecar.figures()

        seen = [use(0), use(_EACH)]
        # Things that exist once, such as pools and arenas, come with the second round or with one of the next.
        while not _is_flat(seen) and len(seen) < _MOST_ROUNDS:
            seen.append(use(len(seen) * _EACH))
        page = scene.sidecar.metrics()
        shown = destinations(page)

        assert _is_flat(seen), seen
        assert seen[-1].threads <= seen[0].threads + 8
        assert len(shown) <= MAX_IDLE + MAX_SUSPENDED + 1
        assert read_books(page, scene.destination).balance
        assert read_books(page, scene.destination).exported >= 2 * SPANS_A_REQUEST
        assert scene.ledger.faults == []
        assert scene.ledger.repeated == 0


def _is_flat(seen: Sequence[Figures]) -> bool:
    return seen[-1].resident_bytes - seen[-2].resident_bytes <= _MAX_GROWTH_BYTES
