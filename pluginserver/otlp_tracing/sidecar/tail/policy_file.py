"""Watches the policy file: a good one replaces the policies in force, a wrong one is reported and changes nothing.

A sidecar that starts with a wrong file takes the copy of the last good one (last_good_policy.py). One that starts
without the file has no policies.

A changed file counts once it has stayed the same from one look to the next, since an editor or a copy may still be
writing it. YAML that is cut between two policies is whole YAML. So a file that was written in its place, and is a mere
beginning of the version in force, is refused. One that was renamed into its place is whole. `look` reads the file: call
it in a thread. Call `apply` in the event loop.
"""

from __future__ import annotations

import logging
import os
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from otlp_tracing.config.policies import MAX_BYTES, Policies, parse_policies, rules_json
from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.folders import reason
from otlp_tracing.handoff.frames import Debug, Policy, encode
from otlp_tracing.log_limit import LimitedLog
from otlp_tracing.metrics import POLICIES, POLICY_LOADS
from otlp_tracing.sampling.head_policy import HeadPolicy
from otlp_tracing.sidecar.ingest.worker_link import WorkerLink
from otlp_tracing.sidecar.tail.debug_session import DebugSession
from otlp_tracing.sidecar.tail.last_good_policy import LastGood, PolicyCopy
from otlp_tracing.sidecar.tail.rules import TailRules, check_patterns
from otlp_tracing.sidecar.telemetry.registry import Metrics

_log = logging.getLogger("otlp_tracing.sidecar.tail.policy_file")

Version = tuple[int, ...]
"""Tells two versions of a file apart; empty for a file that is not there."""

_INODE = 0  # in a Version
_CUT = (
    "ends within the version in force, so it may be half written; to remove the rest, put ... on a last line, or "
    "rename a new file into its place"
)


@dataclass(frozen=True, slots=True)
class Load:
    """A version of the file, read.

    Args:
        policies: that come into force; None for a wrong file, with which those in force stay.
        tail: their rules on the finished request.
        version: that they are from.
        fault: of a wrong file, one sentence; with policies, these are of the copy.
        warning: why the copy could not be written; one sentence.
    """

    policies: Policies | None = None
    tail: TailRules | None = None
    version: LastGood | None = None
    fault: str = ""
    warning: str = ""


class PolicyFile:
    """The policies in force, and the file that they are from.

    Args:
        path: of the file; None without one: there are no policies.
        metrics: count the versions.
        send: sends a frame to all workers.
        folder: of the copy of the last good version; None without a copy.
        wall_clock: seconds since 1970.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        path: Path | None = None,
        metrics: Metrics | None = None,
        send: Callable[[bytes], None] = lambda _: None,
        *,
        folder: Path | None = None,
        wall_clock: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._copy = PolicyCopy(folder, path)
        self._metrics = metrics
        self._send = send
        self._wall_clock = wall_clock
        self._clock = clock
        self._seen: Version | None = None
        self._loaded: Version | None = None
        self._inode = 0  # of the file in force
        self._policies: Policies | None = None
        self._in_force: LastGood | None = None
        self._is_restored = False
        self._fault = ""
        self._refused = LimitedLog(_log, clock)
        self.head = HeadPolicy()
        """The rules of the head decision, for requests that the sidecar decides itself."""
        self.tail = TailRules()
        """The rules on the finished request."""
        self.session: DebugSession | None = None
        """The debug session that runs."""

    def look(self) -> Load | None:
        """Read the file if it has changed, and stayed the same since the last look; None if there is nothing new."""
        if self._path is None:
            if self._seen is None:
                self._seen = ()
                self._copy.remove()  # --policy-file was removed
            return None
        version = _version(self._path)
        is_settled, self._seen = version == self._seen, version
        if version == self._loaded or not is_settled:
            return None
        self._loaded = version
        try:
            return self._accept(read_policy_file(self._path), version)
        except ConfigError as error:
            fault = _sentence(error)
        except Exception:
            _log.exception("internal error, policy file not read")
            fault = "cannot be read because of an internal error; the log has it"
        if self._policies is not None:
            return Load(fault=fault)
        if _is_removed(self._path):
            self._copy.remove()  # the file was removed: no policies are wanted
            return Load(fault=fault)
        return self._restore(fault)

    def apply(self, load: Load | None) -> None:
        """Replace the policies in force, and send the workers theirs; or report a wrong file."""
        if load is None or self._metrics is None:
            return
        self._fault = load.fault
        self._metrics.add(POLICY_LOADS, "refused" if load.fault else "applied")
        if load.warning:
            _log.warning("policy file not copied, a restart with a wrong file would have no policy: %s", load.warning)
        if load.policies is not None and load.tail is not None:
            self._policies, self.tail = load.policies, load.tail
            self._in_force, self._is_restored = load.version, bool(load.fault)
            self._publish()
            self._metrics.set(POLICIES, self._count)
        if load.fault:
            stays = "the last good one is in force, since " + self._since if self._policies else "no policy is in force"
            _log.error("policy file refused, %s: %s: %s", stays, self._path, load.fault)
        else:
            sender = self._policies.sender if self._policies else ""
            _log.info("policy file applied: %d policies of %s", self._count, sender or "an unnamed sender")

    def report(self) -> Mapping[str, object] | None:
        """Return the state of the file, for a person; None without a file."""
        if self._path is None:
            return None
        policies, version = self._policies, self._in_force
        age = self._wall_clock() - version.applied_unix if version else None
        return {
            "file": str(self._path),
            "sender": policies.sender if policies else "",
            "policies": [rule.name for rule in (*policies.head, *policies.tail)] if policies else [],
            "applied_s": None if age is None else round(max(age, 0.0), 1),
            "applied_unix": round(version.applied_unix) if version else None,
            "sha256": version.digest if version else None,
            "is_restored": self._is_restored,
            "fault": self._fault or None,
        }

    def session_report(self) -> Mapping[str, object] | None:
        """Return the state of the debug session that runs, for a person; None without one."""
        return self.session.report() if self.session is not None else None

    def start_session(self, link: WorkerLink, debug: Debug) -> None:
        """Begin a debug session; if one runs or its conditions are wrong, its connection is closed."""
        try:
            session = DebugSession(debug, link, self._clock)
        except (ConfigError, ValueError, RecursionError) as error:
            self._refused.warning("debug session refused: %s", error)
            link.close()
            return
        if self.session is not None:
            self._refused.warning("debug session refused: another one is running")
            link.close()
            return
        self.session = session
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
        if self.session is not None and self.session.is_over:
            self.end_session(self.session.link)

    def _accept(self, content: bytes, version_of_file: Version) -> Load:
        policies, tail = _parse(content)
        inode = version_of_file[_INODE] if version_of_file else 0
        if inode == self._inode and policies != self._policies and self._is_beginning(content):
            raise ConfigError([Fault("", "", _CUT)])
        self._inode = inode
        version = LastGood(content, self._wall_clock())
        try:
            copied = self._copy.read()
            if copied is not None and copied.content == content:
                return Load(policies, tail, copied)  # with its time: a restart changes nothing
        except ConfigError:
            pass  # it is replaced
        try:
            self._copy.write(version)
        except OSError as error:
            return Load(policies, tail, version, warning=str(error))
        return Load(policies, tail, version)

    def _is_beginning(self, content: bytes) -> bool:
        return self._in_force is not None and self._in_force.content.startswith(content)

    def _restore(self, fault: str) -> Load:
        """Return the copy's policies beside the fault of the file; without a good copy, the fault alone."""
        try:
            version = self._copy.read()
            if version is None:
                return Load(fault=fault)
            policies, tail = _parse(version.content)
        except ConfigError as error:
            return Load(fault=f"{fault}; the last good version cannot be used: {_sentence(error)}")
        except Exception:
            _log.exception("internal error, copy of the policy file not read")
            return Load(fault=fault)
        return Load(policies, tail, version, fault)

    def _publish(self) -> None:
        rules = (*(self.session.head if self.session else ()), *(self._policies.head if self._policies else ()))
        self.head.set(rules)
        self._send(encode(Policy(rules_json(rules))))

    @property
    def _since(self) -> str:
        at = datetime.fromtimestamp(self._in_force.applied_unix if self._in_force else 0, timezone.utc)
        return at.strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def _count(self) -> int:
        return len(self._policies.head) + len(self._policies.tail) if self._policies else 0


def _parse(content: bytes) -> tuple[Policies, TailRules]:
    """Return the policies of a file, and their rules on the finished request.

    Raises:
        ConfigError: with every fault.
    """
    policies = parse_policies(content)
    check_patterns(policies)
    return policies, TailRules(policies.tail, "policies")


def _sentence(error: ConfigError) -> str:
    more = f" (and {len(error.faults) - 1} more)" if len(error.faults) > 1 else ""
    return f"{error.faults[0]}{more}"


def _is_removed(path: Path) -> bool:
    """Tell whether a file was removed: it is not if its folder is missing, or is one that this user may not enter."""
    try:
        path.lstat()
    except FileNotFoundError:
        return path.parent.is_dir()
    except OSError:
        return False
    return False


def _version(path: Path) -> Version:
    try:
        status = path.stat()
    except OSError:
        return ()
    return (status.st_ino, status.st_mtime_ns, status.st_size, status.st_mode, status.st_ctime_ns)


def read_policy_file(path: Path) -> bytes:
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
