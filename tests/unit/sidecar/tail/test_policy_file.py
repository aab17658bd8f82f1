"""Promises of sidecar/tail/policy_file.py."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from other_users import needs_root, open_folder
from otlp_tracing.config.policies import parse_policies, read_policies
from otlp_tracing.errors import ConfigError
from otlp_tracing.handoff.frames import Ack, Debug, Decoder, Policy
from otlp_tracing.metrics import POLICIES, POLICY_LOADS
from otlp_tracing.sidecar.ingest.worker_link import WorkerLink
from otlp_tracing.sidecar.tail.debug_session import MAX_SESSION_REQUESTS, MAX_SESSION_SECONDS
from otlp_tracing.sidecar.tail.last_good_policy import NAME, LastGood, PolicyCopy
from otlp_tracing.sidecar.tail.policy_file import PolicyFile
from otlp_tracing.sidecar.tail.rules import check_patterns
from otlp_tracing.sidecar.telemetry.registry import Metrics

GOOD = """
sender: platform-team
policies:
- {id: gold, name: Gold, trace: {match: {consumers: [gold]}, keep: all}}
- {id: health, name: Health, trace: {match: {paths: [/health]}, keep: none}}
"""


def settle(file: PolicyFile) -> None:
    """Look until nothing is new."""
    for _ in range(3):
        file.apply(file.look())


class Watched:
    """A policy file with its watcher; `settle` looks until nothing is new."""

    def __init__(self, path: Path) -> None:
        self.path, self.metrics, self.now = path, Metrics(), 1000.0
        self.sent: list[bytes] = []
        self.file = self._new_file()

    def restart(self) -> dict[str, Any]:
        """Let another sidecar begin, and look."""
        self.metrics = Metrics()
        self.file = self._new_file()
        return self.settle()

    def _new_file(self) -> PolicyFile:
        clocks: Any = {"wall_clock": lambda: self.now, "clock": lambda: self.now}
        return PolicyFile(self.path, self.metrics, self._send, folder=self.path.parent, **clocks)

    def write(self, text: str) -> None:
        self.path.write_text(text)
        self.path.chmod(0o644)

    def settle(self) -> dict[str, Any]:
        settle(self.file)
        return dict(self.file.report() or {})

    def loads(self, result: str) -> float | None:
        return self.metrics.value(POLICY_LOADS, result=result)

    def in_force(self) -> tuple[list[str], list[str]]:
        return [rule.name for rule in self.file.head.rules.rules], [rule.name for rule in self.file.tail.rules]

    def _send(self, frame: bytes) -> None:
        (policy,) = Decoder().feed(frame)
        assert isinstance(policy, Policy)
        self.sent.append(policy.rules)


class Person:
    """The command of a debug session: the answers that it gets."""

    def __init__(self) -> None:
        self.kept: list[int] = []
        self.is_closed = False
        self.link = WorkerLink(b"person00", self._receive, close=self._close)

    def _receive(self, data: bytes) -> None:
        self.kept += [frame.number for frame in Decoder().feed(data) if isinstance(frame, Ack)]

    def _close(self) -> None:
        self.is_closed = True


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path / "policies.yml")


def test_a_good_file_is_in_force_and_sent_to_the_workers(watched: Watched) -> None:
    """With sender and time; an unchanged file is read once."""
    watched.write(GOOD)
    watched.settle()
    watched.now += 60
    report = watched.settle()

    assert watched.in_force() == (["health"], ["gold"])
    assert [[rule["name"] for rule in json.loads(rules)] for rules in watched.sent] == [["health"]]
    assert report == {
        "file": str(watched.path),
        "sender": "platform-team",
        "policies": ["health", "gold"],
        "applied_s": 60.0,
        "applied_unix": 1000,
        "sha256": hashlib.sha256(GOOD.encode()).hexdigest(),
        "is_restored": False,
        "fault": None,
    }
    assert (watched.loads("applied"), watched.loads("refused"), watched.metrics.value(POLICIES)) == (1, 0, 2)


def test_a_half_written_file_leaves_the_last_good_one(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    """Cut anywhere, it is refused in one sentence or it is not yet read; the whole file is then in force."""
    watched.write(GOOD)
    watched.settle()
    whole = GOOD.replace("gold", "silver")
    with caplog.at_level(logging.ERROR):
        for length in range(0, len(whole) - 2, 7):
            watched.write(whole[:length])
            watched.file.apply(watched.file.look())  # changed since the last look: still being written
        assert watched.in_force() == (["health"], ["gold"])
        assert not caplog.records

        watched.write(whole[:-30])
        report = watched.settle()

    assert watched.in_force() == (["health"], ["gold"])
    assert report["fault"].startswith("cannot be read as YAML: line 5")
    assert report["policies"] == ["health", "gold"]
    (line,) = [record.getMessage() for record in caplog.records]
    since = "the last good one is in force, since 1970-01-01T00:16:40Z"
    assert line.startswith(f"policy file refused, {since}: {watched.path}: cannot be read")
    assert watched.loads("refused") == 1

    watched.write(whole)
    assert watched.settle()["fault"] is None
    assert watched.in_force() == (["health"], ["silver"])


def test_a_file_cut_in_its_place_leaves_the_last_good_one(watched: Watched) -> None:
    """At every byte: also between two policies, and within a number, where the rest is a whole file."""
    whole = GOOD + "- {id: slow, name: Slow, trace: {match: {paths: [/a]}, keep: all}}\n- id: late\n  name: Late\n"
    whole += "  trace:\n    keep: all\n    match:\n      slower_than_ms: 2000\n"
    watched.write(whole)
    watched.settle()
    in_force = watched.in_force()

    for length in range(len(whole.rstrip())):
        watched.write(whole[:length])
        assert watched.settle()["fault"], whole[:length]
        assert watched.in_force() == in_force

    watched.write(whole.rstrip())
    assert watched.settle()["fault"] is None


@pytest.mark.parametrize("way", ["end marker", "rename", "another change"])
def test_policies_at_the_end_can_be_removed(watched: Watched, way: str) -> None:
    """By YAML's own mark of the end, by a new file in its place, or with any other change."""
    watched.write(GOOD)
    watched.settle()
    shorter = GOOD[: GOOD.index("- {id: health")]
    watched.write(shorter)
    assert "may be half written; to remove the rest, put ... on a last line" in watched.settle()["fault"]

    if way == "end marker":
        watched.write(shorter + "...\n")
    elif way == "rename":
        new = watched.path.with_name("new.yml")
        new.write_text(shorter)
        new.chmod(0o644)
        new.rename(watched.path)
    else:
        watched.write(shorter.replace("Gold", "Silver"))

    assert watched.settle()["fault"] is None
    assert watched.in_force() == ([], ["gold"])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("policies: 5", "policies = 5: must be an array"),
        ("a: 1\nb: 2", "a: no such field; there are sender, policies (and 2 more)"),
        ("policies: [{id: a, name: a, trace: {match: {paths: ['~(']}, keep: all}}]", "policies[1].trace.match.paths"),
        (
            "policies: [{id: a, name: a, trace: {match: {tags: [b], paths: ['~(']}, keep: all}}]",
            "policies[1].trace.match.paths",
        ),
    ],
)
def test_a_wrong_file_is_one_sentence(watched: Watched, text: str, fault: str) -> None:
    """As `check` says it; at the start nothing is in force."""
    watched.write(text)

    assert fault in watched.settle()["fault"]
    assert watched.in_force() == ([], [])


def test_a_file_that_is_removed_or_not_ours_leaves_the_last_good_one(watched: Watched) -> None:
    """An empty list of policies ends them; a file that is gone does not."""
    watched.write(GOOD)
    watched.settle()
    watched.path.unlink()
    assert "cannot be read" in watched.settle()["fault"]

    watched.write(GOOD.replace("gold", "silver"))
    watched.path.chmod(0o666)
    assert "must not be writable for every user" in watched.settle()["fault"]

    watched.path.unlink()
    os.mkfifo(watched.path, 0o600)
    assert "must be a regular file" in watched.settle()["fault"]
    assert watched.in_force() == (["health"], ["gold"])

    watched.path.unlink()
    watched.write("policies: []")
    assert watched.settle()["fault"] is None
    assert watched.in_force() == ([], [])


@pytest.mark.parametrize("wrong", ["policies: 5", GOOD[:-30], "", "later_version: {}\npolicies: []"])
def test_the_last_good_file_survives_a_restart_with_a_wrong_one(
    watched: Watched, caplog: pytest.LogCaptureFixture, wrong: str
) -> None:
    """With its time and hash, in report and log; a good file takes its place, and a restart with it changes nothing."""
    watched.write(GOOD)
    watched.settle()
    watched.write(wrong)
    watched.now += 60
    report = watched.restart()

    assert watched.in_force() == (["health"], ["gold"])
    assert (report["applied_s"], report["is_restored"], report["sender"]) == (60.0, True, "platform-team")
    assert report["sha256"] == hashlib.sha256(GOOD.encode()).hexdigest()
    assert report["fault"]
    assert "policy file refused, the last good one is in force, since 1970-01-01T00:16:40Z: " in caplog.text
    assert (watched.loads("refused"), watched.loads("applied")) == (1, 0)
    assert json.loads(watched.sent[-1])[0]["name"] == "health"

    watched.write(GOOD)
    report = watched.settle()
    assert (report["is_restored"], report["fault"], report["applied_s"]) == (False, None, 60.0)
    assert watched.restart()["applied_s"] == 60.0


def test_a_file_that_was_removed_leaves_no_policy_after_a_restart(watched: Watched) -> None:
    """Also if a wrong one comes later: its copy is gone."""
    watched.write(GOOD)
    watched.settle()
    watched.path.unlink()
    assert "No such file" in watched.restart()["fault"]
    assert watched.in_force() == ([], [])

    watched.write("policies: 5")
    report = watched.restart()
    assert (watched.in_force(), report["is_restored"], report["applied_s"]) == (([], []), False, None)
    assert not (watched.path.parent / NAME).exists()


def test_a_file_that_cannot_be_reached_was_not_removed(watched: Watched) -> None:
    """A broken link, or a folder that is not mounted yet: the last good one is in force."""
    watched.write(GOOD)
    watched.settle()
    watched.path.unlink()
    watched.path.symlink_to("elsewhere.yml")

    assert watched.restart()["is_restored"]
    assert watched.in_force() == (["health"], ["gold"])


@needs_root
def test_a_file_in_a_closed_folder_was_not_removed() -> None:
    """Its folder was given to another user: the last good one is in force, and the copy stays for the next restart."""
    with open_folder(0o777) as folder:
        os.seteuid(54321)
        try:
            path, metrics = folder / "policies" / "policies.yml", Metrics()
            path.parent.mkdir()
            path.write_text(GOOD)
            path.chmod(0o644)
            settle(PolicyFile(path, metrics, lambda _: None, folder=folder))
            path.parent.chmod(0o000)
            file = PolicyFile(path, metrics, lambda _: None, folder=folder)
            settle(file)
        finally:
            os.seteuid(0)

        report = file.report()
        assert report is not None
        assert report["is_restored"]
        assert "cannot be read" in str(report["fault"])
        assert (folder / NAME).exists()


def test_an_option_that_is_taken_back_takes_the_copy(watched: Watched) -> None:
    """Given again with a wrong file, there is no policy of the past."""
    watched.write(GOOD)
    watched.settle()
    PolicyFile(folder=watched.path.parent).look()

    assert not (watched.path.parent / NAME).exists()


def test_a_copy_that_cannot_be_used_is_said(watched: Watched) -> None:
    """A damaged one, and one of another file; the sentence has both faults, and no policy is in force."""
    watched.write(GOOD)
    watched.settle()
    watched.path = watched.path.parent / "others.yml"
    watched.write("policies: 5")
    other = watched.restart()["fault"]
    assert other.startswith("policies = 5: must be an array")
    assert "the last good version cannot be used: its copy is of another policy file, " in other

    watched.write(GOOD)
    watched.settle()
    copy = watched.path.parent / NAME
    copy.write_bytes(copy.read_bytes().replace(b"keep: none", b"keep: all "))
    watched.write("policies: 5")
    assert watched.restart()["fault"].endswith("; the last good version cannot be used: its copy is damaged")
    assert watched.in_force() == ([], [])


def test_a_copy_with_rules_of_another_version_is_said(watched: Watched) -> None:
    """It was good for the version that wrote it: the sentence names the field that this one does not know."""
    PolicyCopy(watched.path.parent, watched.path).write(LastGood(b"policies: []\nlater: 1", 5.0))
    watched.write("policies: 5")

    assert "the last good version cannot be used: later: no such field" in watched.restart()["fault"]


def test_a_copy_that_cannot_be_written_costs_no_policy(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    """A warning says why a restart would have none."""
    (watched.path.parent / NAME).mkdir()
    watched.write(GOOD)
    watched.settle()

    assert watched.in_force() == (["health"], ["gold"])
    (line,) = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert line.startswith("policy file not copied, a restart with a wrong file would have no policy: ")


def test_without_a_file_there_are_no_policies() -> None:
    """And nothing is looked at."""
    file = PolicyFile()
    file.apply(file.look())

    assert (file.report(), file.tail.rules, file.head.rules.rules) == (None, [], ())


def test_a_debug_session_ends_after_its_number_of_requests(watched: Watched) -> None:
    """Its rule of the head is asked before all policies, and is then taken back; the person sees each request."""
    watched.write(GOOD)
    watched.settle()
    person = Person()
    watched.file.start_session(person.link, Debug(b'{"paths": ["/a"]}', 60, 2))
    session = watched.file.session

    assert session is not None
    assert watched.in_force()[0] == ["debug", "health"]
    for _ in range(2):
        watched.file.keep_by_session(session)
    assert (watched.file.session, person.kept, person.is_closed) == (None, [0, 1, 2], True)
    assert [[rule["name"] for rule in json.loads(rules)] for rules in watched.sent[1:]] == [
        ["debug", "health"],
        ["health"],
    ]


@pytest.mark.parametrize("ends", ["by time", "with its connection"])
def test_a_debug_session_ends_by_itself(watched: Watched, ends: str) -> None:
    """Within its time, or with its connection; another connection's end is not its own."""
    person = Person()
    watched.file.start_session(person.link, Debug(b'{"consumers": ["gold"]}', 60, 2))
    watched.now += 59
    watched.file.tick()
    watched.file.end_session(Person().link)
    assert watched.file.session is not None
    assert watched.in_force()[0] == []  # the head does not know a consumer

    if ends == "by time":
        watched.now += 1
        watched.file.tick()
    else:
        watched.file.end_session(person.link)

    assert watched.file.session is None
    assert person.is_closed


@pytest.mark.parametrize("match", [b"", b"5", b"{}", b'{"consumer": ["a"]}', b'{"paths": ["~("]}', b"[" * 100_000])
def test_a_debug_session_that_cannot_work_is_refused(watched: Watched, match: bytes) -> None:
    """Its connection is closed without an answer."""
    person = Person()
    watched.file.start_session(person.link, Debug(match, 60, 2))

    assert (watched.file.session, person.kept, person.is_closed) == (None, [], True)


def test_one_debug_session_runs_at_a_time_and_is_bounded(watched: Watched) -> None:
    """Whatever the person's command asks for."""
    first, second = Person(), Person()
    watched.file.start_session(first.link, Debug(b'{"tags": ["a"]}', 1 << 40, 1 << 40))
    watched.file.start_session(second.link, Debug(b'{"tags": ["a"]}', 60, 2))
    session = watched.file.session

    assert session is not None
    assert (session.link, session.seconds, session.requests) == (first.link, MAX_SESSION_SECONDS, MAX_SESSION_REQUESTS)
    assert (first.is_closed, second.is_closed, second.kept) == (False, True, [])


def test_refused_debug_sessions_do_not_fill_the_log(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    """A script may ask again and again, on a connection each: the log has a line in ten seconds."""
    running = Person()
    watched.file.start_session(running.link, Debug(b'{"tags": ["a"]}', 60, 2))
    for _ in range(6):
        watched.file.start_session(Person().link, Debug(b'{"tags": ["a"]}', 60, 2))
        watched.file.start_session(Person().link, Debug(b"{}", 60, 2))
        watched.now += 2

    first, second = (line for line in caplog.messages if "refused" in line)
    assert first == "debug session refused: another one is running"
    assert second == "debug session refused: another one is running (and 9 more like it before)"


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(alphabet=st.characters(exclude_categories=()), max_size=6)
    | st.dates()
    | st.sampled_from(["gold", "~(", "~a{1000}{1000}", "x: *", "all", "10%"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.dates(), inner, max_size=3),
    max_leaves=12,
)
_NAMES = ("sender", "policies", "id", "name", "enabled", "trace", "match", "keep", "paths", "consumers", "statuses")


@given(st.dictionaries(st.sampled_from(_NAMES), _VALUES, max_size=3), st.booleans())
@settings(max_examples=200)
def test_any_document_is_policies_or_faults(fields: dict[str, Any], is_whole: bool) -> None:
    """Whatever its types: never another exception, which would leave the file neither applied nor refused."""
    policy = {"id": "a", "name": "A", "trace": {"match": fields, "keep": "all"}} if is_whole else fields
    with contextlib.suppress(ConfigError):
        check_patterns(read_policies({"policies": [policy]} if is_whole else policy))


@given(st.integers(0, len(GOOD)), st.binary(max_size=3))
@settings(max_examples=300)
def test_any_edit_is_policies_or_faults(place: int, added: bytes) -> None:
    """Bytes put in, in the place of others, at any place."""
    content = GOOD.encode()
    with contextlib.suppress(ConfigError):
        check_patterns(parse_policies(content[:place] + added + content[place + len(added) :]))
