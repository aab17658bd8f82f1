"""Watches the policy file: a good one replaces the policies in force, a wrong one is reported and changes nothing.

A changed file counts once it has stayed the same from one look to the next, since an editor or a copy may still be
writing it. `look` reads the file, so it belongs into a thread; `apply` belongs into the loop.
"""

from __future__ import annotations

import json
import logging
import os
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from otlp_tracing.config.policies import MAX_BYTES, Policies, parse_policies, read_match, rules_json
from otlp_tracing.config.settings import TailRule
from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.folders import reason
from otlp_tracing.handoff.frames import Ack, Debug, Policy, encode
from otlp_tracing.metrics import POLICIES, POLICY_LOADS
from otlp_tracing.sampling.policy import HeadPolicy
from otlp_tracing.sampling.rules import Rule
from otlp_tracing.sidecar.ingest.worker_link import WorkerLink
from otlp_tracing.sidecar.tail.rules import FinishedRule, TailRules
from otlp_tracing.sidecar.telemetry.registry import Metrics

_log = logging.getLogger("otlp_tracing.sidecar.tail.policy_file")

MAX_SESSION_SECONDS = 1800
"""Of a debug session: one that is forgotten ends within half an hour."""
MAX_SESSION_REQUESTS = 10_000
"""Of a debug session: some 20 MiB of spans."""

Version = tuple[int, ...]
"""Tells two versions of a file apart; empty for a file that is not there."""


@dataclass(frozen=True, slots=True)
class Load:
    """A version of the file, read.

    Args:
        policies: in it; None for a wrong file.
        tail: its rules on the finished request.
        fault: of a wrong file, one sentence.
    """

    policies: Policies | None = None
    tail: TailRules | None = None
    fault: str = ""


class DebugSession:
    """Keeps all requests that match, for a time or a number of them.

    Args:
        policies: with its conditions, as of read_match; their patterns are checked.
        link: to the person's command.
        debug: as asked for; bounded by the largest duration and number.
        now: monotonic seconds.
    """

    def __init__(self, policies: Policies, link: WorkerLink, debug: Debug, now: float) -> None:
        self.head = policies.head
        """Its rule, where the head decision can ask it."""
        rule = (*policies.head, *policies.tail)[0]
        self.rule = FinishedRule(TailRule(**{one.name: getattr(rule, one.name) for one in fields(rule)}), "match")
        self.link = link
        self.seconds = min(debug.seconds, MAX_SESSION_SECONDS)
        self.requests = min(debug.requests, MAX_SESSION_REQUESTS)
        self.ends_at = now + self.seconds
        self.kept = 0

    def acknowledge(self) -> None:
        """Tell the person's command how many requests are kept."""
        self.link.send(encode(Ack(self.kept)))


class PolicyFile:
    """The policies in force, and the file that they are from.

    Args:
        path: of the file; None without one: there are no policies.
        metrics: count the versions.
        send: sends a frame to all workers.
        wall_clock: seconds since 1970.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        path: Path | None = None,
        metrics: Metrics | None = None,
        send: Callable[[bytes], None] = lambda _: None,
        wall_clock: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._metrics = metrics
        self._send = send
        self._wall_clock = wall_clock
        self._clock = clock
        self._seen: Version | None = None
        self._loaded: Version | None = None
        self._policies: Policies | None = None
        self._applied_at = 0.0
        self._fault = ""
        self.head = HeadPolicy()
        """The rules of the head decision, for requests that the sidecar decides itself."""
        self.tail = TailRules()
        """The rules on the finished request."""
        self.session: DebugSession | None = None
        """The debug session that runs."""

    def look(self) -> Load | None:
        """Read the file if it has changed, and stayed the same since the last look; None if there is nothing new."""
        if self._path is None:
            return None
        version = _version(self._path)
        is_settled, self._seen = version == self._seen, version
        if version == self._loaded or not is_settled:
            return None
        self._loaded = version
        try:
            policies = parse_policies(_read(self._path))
            check_patterns(policies)
            return Load(policies, TailRules(policies.tail, "policies"))
        except ConfigError as error:
            more = f" (and {len(error.faults) - 1} more)" if len(error.faults) > 1 else ""
            return Load(fault=f"{error.faults[0]}{more}")

    def apply(self, load: Load | None) -> None:
        """Replace the policies in force, and send the workers theirs; or report a wrong file."""
        if load is None or self._metrics is None:
            return
        self._fault = load.fault
        self._metrics.add(POLICY_LOADS, "refused" if load.fault else "applied")
        if load.policies is None or load.tail is None:
            stays = "the last good one stays in force" if self._policies else "no policy is in force"
            _log.error("policy file refused, %s: %s: %s", stays, self._path, load.fault)
            return
        self._policies, self.tail, self._applied_at = load.policies, load.tail, self._wall_clock()
        self._publish()
        self._metrics.set(POLICIES, self._count)
        _log.info("policy file applied: %d policies of %s", self._count, load.policies.sender or "an unnamed sender")

    def report(self) -> Mapping[str, object] | None:
        """Return the state of the file, for a person; None without a file."""
        if self._path is None:
            return None
        return {
            "file": str(self._path),
            "sender": self._policies.sender if self._policies else "",
            "policies": [rule.name for rule in (*self._policies.head, *self._policies.tail)] if self._policies else [],
            "applied_s": round(self._wall_clock() - self._applied_at, 1) if self._policies else None,
            "applied_unix": round(self._applied_at) if self._policies else None,
            "fault": self._fault or None,
        }

    def start_session(self, link: WorkerLink, debug: Debug) -> None:
        """Begin a debug session; if one runs or its conditions are wrong, its connection is closed."""
        try:
            policies = read_match(json.loads(debug.match))
            check_patterns(policies)
        except (ConfigError, ValueError) as error:
            _log.warning("debug session refused: %s", error)
            link.close()
            return
        if self.session is not None:
            _log.warning("debug session refused: another one is running")
            link.close()
            return
        session = self.session = DebugSession(policies, link, debug, self._clock())
        self._publish()
        _log.info("debug session begun: %d s or %d requests", session.seconds, session.requests)
        session.acknowledge()

    def end_session(self, link: WorkerLink) -> None:
        """End the session of a connection, if it has one."""
        if self.session is not None and self.session.link is link:
            _log.info("debug session ended: %d requests kept", self.session.kept)
            self.session = None
            self._publish()
            link.close()

    def keep_by_session(self, session: DebugSession) -> None:
        """Count a request that a session keeps; the last one ends it."""
        session.kept += 1
        session.acknowledge()
        if session.kept >= session.requests:
            self.end_session(session.link)

    def tick(self) -> None:
        """End a session whose time is over."""
        if self.session is not None and self._clock() >= self.session.ends_at:
            self.end_session(self.session.link)

    def _publish(self) -> None:
        rules = (*(self.session.head if self.session else ()), *(self._policies.head if self._policies else ()))
        self.head.set(rules)
        self._send(encode(Policy(rules_json(rules))))

    @property
    def _count(self) -> int:
        return len(self._policies.head) + len(self._policies.tail) if self._policies else 0


def check_patterns(policies: Policies) -> None:
    """Check the patterns of policies.

    Raises:
        ConfigError: with each pattern that RE2 does not take.
    """
    faults: list[Fault] = []
    for rule in (*policies.head, *policies.tail):
        try:
            if isinstance(rule, TailRule):
                FinishedRule(rule, policies.places[rule.name])
            else:
                Rule.of(rule, policies.places[rule.name])
        except ConfigError as error:
            faults += error.faults
    if faults:
        raise ConfigError(faults)


def _version(path: Path) -> Version:
    try:
        status = path.stat()
    except OSError:
        return ()
    return (status.st_mtime_ns, status.st_size, status.st_ino, status.st_mode, status.st_ctime_ns)


def _read(path: Path) -> bytes:
    """Read the file, up to a byte more than may be in it.

    Raises:
        ConfigError: if it cannot be read, is no regular file, or every user may write it.
    """
    try:
        # A pipe would be waited for.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise ConfigError([Fault("", "", "must be a regular file")])
            if mode & stat.S_IWOTH:
                raise ConfigError([Fault("", "", "must not be writable for every user: chmod o-w")])
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError([Fault("", "", f"cannot be read: {reason(path, error)}")]) from error
