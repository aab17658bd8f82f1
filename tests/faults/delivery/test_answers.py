"""Every answer of a collector: all codes, requested delays, partial success, refused batches and refused spans."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import grpc
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from e2e.client import fetch
from e2e.metrics import samples
from e2e.waiting import wait_for
from faults.delivery.issue import SPANS_A_REQUEST, Run
from faults.delivery.ledger import Ledger
from faults.delivery.oracle import settle
from faults.delivery.producer import Producer
from faults.delivery.receiver import OK, Answer, Attempt, Receiver
from faults.delivery.resources import watched
from faults.delivery.scene import StartScene, entry
from faults.delivery.sidecar import Sidecar
from faults.delivery.stalls import heartbeat
from load.process_figures import waited_seconds
from otlp_tracing.plugin.emitter import Origin
from otlp_tracing.sidecar.export.exporter import CONCURRENT_REQUESTS

pytestmark = pytest.mark.timeout(3600)

Code = grpc.StatusCode
Seconds = Callable[[float, float], float]

# OTLP's table (docs/specification.md, "Failures"): these are repeated.
REPEATED = {Code.CANCELLED, Code.DEADLINE_EXCEEDED, Code.ABORTED, Code.OUT_OF_RANGE, Code.UNAVAILABLE, Code.DATA_LOSS}
# Not repeated by the table, but nothing is wrong with the spans: they are held until somebody mends the credentials.
HELD = {Code.UNAUTHENTICATED, Code.PERMISSION_DENIED, Code.UNIMPLEMENTED, Code.NOT_FOUND}
# Repeated in halves, and not unchanged: the collector may refuse one span of many.
CUT = {Code.INVALID_ARGUMENT, Code.INTERNAL}
GIVEN_UP = set(Code) - REPEATED - HELD - CUT - {Code.OK, Code.RESOURCE_EXHAUSTED}
# 408, 425 and those from 520 on are answers of a server on the way, which has not reached the collector.
REPEATED_STATUSES = {408, 425, 429, 502, 503, 504, 520}
HELD_STATUSES = {301, 401, 402, 403, 404, 405, 407, 410, 415, 421, 426, 501, 505, 511}
GIVEN_UP_STATUSES = {500}
CUT_STATUSES = {400, 413, 422}

_CASE = "x-case"
_SPANS = 20
# A batch is sent when it has this many spans, however long the machine takes to collect them, and never in part.
_WHOLE = {"timeout": 60_000, "send_batch_size": _SPANS}
_HOLD_SECONDS = 36.0  # between two attempts at spans that are held, at the most
_LOOK_SECONDS = 10.0  # between two looks for a key that has replaced one


class _Table:
    """Answers each case's first two attempts as the case says, later ones with OK. Held spans always get the case's
    answer.
    """

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self._answers = answers
        self._seen: defaultdict[str, int] = defaultdict(int)

    def choose(self, metadata: Mapping[str, str], _spans: list[Span]) -> Answer:
        case = metadata[_CASE]
        self._seen[case] += 1
        answer = self._answers[case]
        return answer if self._seen[case] <= 2 or _is_held(answer) else OK


def _is_held(answer: Answer) -> bool:
    return answer.code in HELD or answer.status in HELD_STATUSES


@dataclass(frozen=True)
class _Seen:
    """The attempts that a receiver saw, and how long the sidecar had waited for a core at which moments (monotonic)."""

    attempts: Mapping[str, list[Attempt]]
    waited: Sequence[tuple[float, float]]

    def keeps(self, case: str, delay: float, pause_s: float) -> bool:
        """Tell whether attempts came after a delay, to a fifth. Time in which a process was held up does not count as
        late.
        """
        return all(
            0.8 * delay <= later.at - earlier.at
            and later.at - earlier.at - self._held_up(earlier.at, later.at) <= 1.2 * delay + pause_s
            for earlier, later in pairwise(self.attempts[case])
        )

    def _held_up(self, begun: float, ended: float) -> float:
        before = max((waited for at, waited in self.waited if at <= begun), default=0.0)
        after = min((waited for at, waited in self.waited if at >= ended), default=self.waited[-1][1])
        return heartbeat().missed(begun, ended) + after - before


def _attempts(receiver: Receiver) -> dict[str, list[Attempt]]:
    found: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in receiver.attempts:
        found[attempt.metadata[_CASE]].append(attempt)
    return found


def _outcomes(answers: Mapping[str, Answer], folder: Any, seconds: float, http: bool) -> _Seen:
    """Send one batch a case, each to a destination of its own, and return the attempts that each saw."""
    run = Run(1 << 30)
    ledger = Ledger(run)
    with (
        Receiver(ledger) as receiver,
        Sidecar(folder) as sidecar,
        watched(lambda: (time.monotonic(), waited_seconds(sidecar.pid))) as waited,
    ):
        receiver.script.choose = _Table(answers).choose
        endpoint = receiver.http_endpoint if http else receiver.endpoint
        producer = Producer(sidecar.socket, run, entry(endpoint, run))
        for case in answers:
            fields: dict[str, Any] = {"batch_export": _WHOLE, **({"protocol": "http/protobuf"} if http else {})}
            producer.origin = Origin.of(entry(endpoint, run, headers=[f"{_CASE}: {case}"], **fields))
            producer.send(_SPANS // SPANS_A_REQUEST)
        producer.wait_until_acknowledged()
        held = _SPANS * sum(map(_is_held, answers.values()))
        wait_for(lambda: sidecar.books(endpoint).waiting <= held, seconds, f"all is answered\n{sidecar.tail()}")
        books = sidecar.books(endpoint)
        missing = ledger.missing(run, producer.acknowledged)
        producer.close()

        assert books.balance, books
        assert books.waiting == held  # the next attempt of held spans may be under way
        assert ledger.faults == []
        assert ledger.repeated == 0
        assert len(missing) == held + sum(books.lost.values()), books
        return _Seen(_attempts(receiver), waited)


def test_every_code_is_answered_as_the_protocol_has_it(folder: Any, seconds: Seconds, pause_s: float) -> None:
    """Fault 15: each gRPC code, with and without RetryInfo: repeated, held, cut or given up as OTLP's table says.

    RESOURCE_EXHAUSTED is repeated only if it says when; without, the batch may be too large, and is cut. So it is for
    INVALID_ARGUMENT and INTERNAL, where one span may have spoilt it. RetryInfo is honoured to a fifth.
    """
    delay = seconds(7, 2)
    answers = {
        f"{code.name}{'+' if retry_after_s else ''}": Answer(code, retry_after_s=retry_after_s, message="scripted")
        for code in Code
        for retry_after_s in (None, delay)
        if code is not Code.OK
    }
    seen = _outcomes(answers, folder, 60 + 3 * delay, http=False)
    unexpected = {}
    for case, answer in answers.items():
        sizes = [attempt.spans for attempt in seen.attempts[case]]
        gaps = [round(later.at - earlier.at, 2) for earlier, later in pairwise(seen.attempts[case])]
        if answer.code in GIVEN_UP:
            fits = sizes == [_SPANS]
        elif answer.code in HELD:
            # Without a delay of the collector's it is tried again after half a minute, a fifth more or less by chance.
            fits = set(sizes) == {_SPANS} and min(gaps, default=24.0) >= (0.8 * delay if answer.retry_after_s else 24.0)
        elif answer.code in CUT or (answer.code is Code.RESOURCE_EXHAUSTED and answer.retry_after_s is None):
            fits = sizes[0] == _SPANS and max(sizes[1:], default=0) < _SPANS
        else:
            fits = sizes == [_SPANS] * 3
            if answer.retry_after_s is not None:
                fits = fits and seen.keeps(case, delay, pause_s)
        if not fits:
            unexpected[case] = (sizes, gaps)

    assert unexpected == {}


def test_every_http_status_is_answered_as_the_protocol_has_it(folder: Any, seconds: Seconds, pause_s: float) -> None:
    """Fault 15: over HTTP 429, 502, 503 and 504 are repeated, after Retry-After if it is there.

    Answers about the key or the request are held, whatever spans are in it. Those that one span may cause are cut.
    """
    delay = seconds(7, 2)
    statuses = REPEATED_STATUSES | HELD_STATUSES | GIVEN_UP_STATUSES | CUT_STATUSES
    answers = {
        f"{status}{'+' if retry_after_s else ''}": Answer(status=status, retry_after_s=retry_after_s)
        for status in statuses
        for retry_after_s in (None, delay)
    }
    seen = _outcomes(answers, folder, 60 + 3 * delay, http=True)
    unexpected = {}
    for case, answer in answers.items():
        sizes = [attempt.spans for attempt in seen.attempts[case]]
        gaps = [round(later.at - earlier.at, 2) for earlier, later in pairwise(seen.attempts[case])]
        if answer.status in CUT_STATUSES:
            fits = sizes[0] == _SPANS and max(sizes[1:], default=0) < _SPANS
        elif answer.status in HELD_STATUSES:
            fits = set(sizes) == {_SPANS}
        else:
            fits = sizes == [_SPANS] * (1 if answer.status in GIVEN_UP_STATUSES else 3)
        if answer.retry_after_s is not None and answer.status in {429, 503}:
            fits = fits and seen.keeps(case, delay, pause_s)
        if not fits:
            unexpected[case] = (sizes, gaps)

    assert unexpected == {}


@pytest.mark.parametrize("http", [False, True], ids=["grpc", "http"])
def test_a_partial_success_is_counted_and_not_repeated(start_scene: StartScene, http: bool) -> None:
    """Fault 16: spans that a collector reports as rejected are counted, logged in one line, and not sent again."""
    with start_scene(http=http, batch_export=_WHOLE) as scene:
        scene.receiver.script.default = Answer(rejected=3, message="three are too many")
        scene.send(_SPANS // SPANS_A_REQUEST)
        settle(scene.sidecar, [scene.producer], scene.destination, 60)
        scene.receiver.script.default = OK
        scene.send(_SPANS // SPANS_A_REQUEST)
        scene.assert_conserved(max_repeated=0, given_up=3)
        books = scene.sidecar.books(scene.destination)

        assert scene.receiver.calls == 2
        assert books.rejected == 3
        assert not scene.ledger.refused(scene.run) & scene.ledger.delivered(scene.run)
        assert scene.sidecar.log().count("three are too many") == 1


@pytest.mark.parametrize("http", [False, True], ids=["grpc", "http"])
def test_no_batch_is_larger_than_a_collector_takes(start_scene: StartScene, http: bool) -> None:
    """Fault 17: spans of 64 KiB in batches that would be far over 4 MiB: none is sent over it, and all arrive."""
    batches = {"timeout": 1000, "send_batch_size": 8192}
    with start_scene(http=http, pads=62, batch_export=batches) as scene:
        scene.send(300)  # 19 MB
        scene.wait_until_delivered()

        scene.assert_conserved(max_repeated=0)
        assert max(attempt.size for attempt in scene.receiver.attempts) < 4 << 20
        assert len(scene.receiver.attempts) >= 5


def test_a_batch_that_is_too_large_is_cut(start_scene: StartScene) -> None:
    """Fault 17: a collector with a bound of its own gets smaller ones; only a span that alone is too large is lost."""
    most = 100_000
    batches = {"timeout": 500, "send_batch_size": 512}
    with start_scene(batch_export=batches) as scene:
        large = Run(scene.run.name + (1 << 29), pads=120)
        with Receiver(Ledger(scene.run, large)) as strict:
            strict.script.choose = lambda _metadata, spans: (
                Answer(grpc.StatusCode.RESOURCE_EXHAUSTED, message="received message larger than max")
                if sum(span.ByteSize() for span in spans) > most
                else OK
            )
            config = entry(strict.endpoint, large, batch_export=batches)  # captures the headers of both runs
            producers = [Producer(scene.sidecar.socket, run, config) for run in (scene.run, large)]
            small, big = producers
            small.send(150)
            big.send(1)
            small.send(100)
            settle(scene.sidecar, producers, strict.endpoint, 60)
            books = scene.sidecar.books(strict.endpoint)
            missing = strict.ledger.missing(large, [0])

            assert strict.ledger.missing(scene.run, small.acknowledged) == []
            assert strict.ledger.faults == []
            assert missing == [0], "the CLIENT span beside it is small"
            assert sum(books.lost.values()) == 1, books
            assert books.balance, books
            for producer in producers:
                producer.close()


def _poisoned(log: bytes, **fields: Any) -> bytes:
    record = json.loads(log)
    for path, value in fields.items():
        *way, last = path.split("__")
        target = record
        for name in way:
            target = target[name]
        target[last] = value
    return json.dumps(record).encode()


# One such field of one span made an SDK's exporter give up the whole batch.
POISON: dict[str, dict[str, Any]] = {
    "lone surrogate in the path": {"request__uri": "/\ud800"},
    "lone surrogate in the method": {"request__method": "\udfff"},
    "lone surrogate in a header": {"request__headers": {"x-payload": "\ud800"}},
    "negative time": {"started_at": -1},
    "time of a float": {"started_at": 1.5},
    "time beyond 64 bits": {"started_at": 1e30},
    "trace id too long": {"otlp_tracing__trace_id": "f" * 33},
    "trace id of zeros": {"otlp_tracing__trace_id": "0" * 32},
    "negative latency": {"latencies": {"request": -(2**40)}},
    "status beyond 64 bits": {"response": {"status": 2**70}},
    "size beyond 64 bits": {"request__size": 2**64},
    "not a number": {"latencies": {"request": float("nan")}},
    "port out of range": {"tries": [{"ip": "127.0.0.1", "port": 2**66}]},
    "headers that are a list": {"request__headers": ["x"]},
    "tries that are text": {"tries": "none"},
    "no record": {"request": None},
}


def test_poison_costs_no_neighbour(start_scene: StartScene) -> None:
    """Fault 18: spans that cannot be encoded, one in a hundred, do not affect other spans, and each of them is
    counted.
    """
    with start_scene() as scene:
        scene.send(100)
        poison = Producer(scene.sidecar.socket, Run(scene.run.name + (1 << 29)), entry(scene.destination, scene.run))
        for fields in POISON.values():
            poison.emitter.submit(poison.origin, _poisoned(poison.run.log(0), **fields))
            poison.wait_until_acknowledged()
            scene.send(100)
        scene.wait_until_delivered()
        settle(scene.sidecar, [scene.producer], scene.destination, 60)
        books = scene.sidecar.books(scene.destination)
        refused = samples(scene.sidecar.url, "otlp_tracing_records_refused_total", reason="bad_record")
        poison.close()

        good = scene.run.issued * SPANS_A_REQUEST
        assert scene.ledger.missing(scene.run, scene.producer.acknowledged) == []
        assert books.balance, books
        # A poisoned request that still made spans has been delivered, as spans of no run.
        strays = scene.ledger.fault_count
        assert scene.ledger.arrived == good
        assert books.received == good + strays + books.dropped.get("bad_span", 0), books
        assert refused > 0


def test_a_span_that_the_collector_cannot_take(start_scene: StartScene) -> None:
    """Fault 18: of a batch that is answered INVALID_ARGUMENT because of one span, that one is lost and no other."""
    with start_scene() as scene:
        scene.receiver.script.choose = lambda _metadata, spans: (
            Answer(grpc.StatusCode.INVALID_ARGUMENT, message="span 77 is bad")
            if any(scene.run.place(span) == 77 for span in spans)
            else OK
        )
        scene.send(200)

        scene.assert_conserved(max_repeated=0, given_up=1)
        assert scene.ledger.missing(scene.run, range(200)) == [77]


@pytest.mark.parametrize(
    ("answer", "reason", "remedy"),
    [
        (Answer(Code.INVALID_ARGUMENT, message="no traces here"), "refused", "refuses every span"),
        (Answer(Code.UNIMPLEMENTED, message="unknown service"), "not_otlp", "traces pipeline"),
        (Answer(status=404, message="no such page"), "not_otlp", "/v1/traces"),
    ],
    ids=["refused", "grpc", "http"],
)
def test_a_destination_that_accepts_nothing(start_scene: StartScene, answer: Answer, reason: str, remedy: str) -> None:
    """Fault 18: all spans are held with a bounded effort, `status` and /readyz say why, and they arrive in the end."""
    with start_scene(http=answer.status != 200) as scene:
        scene.receiver.script.default = answer
        scene.send(6000)
        wait_for(
            lambda: samples(scene.sidecar.url, "otlp_tracing_destination_held", reason=reason),
            60,
            f"the spans are held\n{scene.sidecar.tail()}",
        )
        command = [sys.executable, "-m", "otlp_tracing", "status", "--http", scene.sidecar.url.removeprefix("http://")]
        status = subprocess.run(command, capture_output=True, text=True, check=False)
        books = scene.sidecar.books(scene.destination)

        assert status.returncode == 1
        assert "held" in status.stdout
        assert remedy in status.stdout
        assert f"{scene.destination} held" in fetch(scene.sidecar.url, "/readyz").text()
        assert books.waiting == 2 * 6000
        assert books.balance, books
        # The batches under way are taken apart, 1,023 requests each, and after that 32 requests in half a minute.
        assert scene.receiver.calls <= 2 * CONCURRENT_REQUESTS * 2 * 512
        scene.receiver.script.default = OK
        scene.assert_conserved(seconds=_HOLD_SECONDS + 60, max_repeated=0)


def test_a_key_that_is_refused_is_replaced(start_scene: StartScene) -> None:
    """Fault 15: spans refused for their key are delivered soon after a configuration has a good one."""
    good, bad = ["x-key: good"], ["x-key: bad"]
    with start_scene(headers=bad) as scene:
        scene.receiver.script.choose = lambda metadata, _spans: (
            OK if metadata["x-key"] == "good" else Answer(Code.UNAUTHENTICATED, message="who are you")
        )
        scene.send(100)
        wait_for(lambda: "who are you" in scene.sidecar.log(), 30, "it is said why nothing is delivered")
        books = scene.sidecar.books(scene.destination)
        scene.producer.origin = Origin.of(entry(scene.destination, scene.run, headers=good))
        scene.send(1)

        assert books.waiting == 200
        scene.assert_conserved(seconds=2 * _LOOK_SECONDS, max_repeated=0)
