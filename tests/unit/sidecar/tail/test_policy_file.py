"""Promises of sidecar/tail/policy_file.py."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from otlp_tracing.handoff.frames import Decoder, Policy
from otlp_tracing.metrics import POLICIES, POLICY_LOADS
from otlp_tracing.sidecar.tail.policy_file import PolicyFile
from otlp_tracing.sidecar.telemetry.registry import Metrics

GOOD = """
sender: platform-team
policies:
- {id: gold, name: Gold, trace: {match: {consumers: [gold]}, keep: all}}
- {id: health, name: Health, trace: {match: {paths: [/health]}, keep: none}}
"""


class Watched:
    """A policy file with its watcher; `settle` looks until nothing is new."""

    def __init__(self, path: Path) -> None:
        self.path, self.metrics, self.now = path, Metrics(), 1000.0
        self.sent: list[bytes] = []
        self.file = PolicyFile(path, self.metrics, self._send, lambda: self.now)

    def write(self, text: str) -> None:
        self.path.write_text(text)
        self.path.chmod(0o644)

    def settle(self) -> dict[str, Any]:
        for _ in range(3):
            self.file.apply(self.file.look())
        return dict(self.file.report() or {})

    def loads(self, result: str) -> float | None:
        return self.metrics.value(POLICY_LOADS, result=result)

    def in_force(self) -> tuple[list[str], list[str]]:
        return [rule.name for rule in self.file.head.rules.rules], [rule.name for rule in self.file.tail.rules]

    def _send(self, frame: bytes) -> None:
        (policy,) = Decoder().feed(frame)
        assert isinstance(policy, Policy)
        self.sent.append(policy.rules)


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
    assert line.startswith(f"policy file refused, the last good one stays in force: {watched.path}: cannot be read")
    assert watched.loads("refused") == 1

    watched.write(whole)
    assert watched.settle()["fault"] is None
    assert watched.in_force() == (["health"], ["silver"])


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


def test_without_a_file_there_are_no_policies() -> None:
    """And nothing is looked at."""
    file = PolicyFile()
    file.apply(file.look())

    assert (file.report(), file.tail.rules, file.head.rules.rules) == (None, [], ())
