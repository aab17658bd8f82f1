"""A debug session: keeps all requests that match, for a time or a number of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from otlp_tracing.config.policies import read_match
from otlp_tracing.config.sensitive_names import CREDENTIAL_HEADERS, MASK, SensitiveNames
from otlp_tracing.config.settings import Redaction, TailRule
from otlp_tracing.handoff.frames import Ack, Debug, encode
from otlp_tracing.sidecar.ingest.worker_link import WorkerLink
from otlp_tracing.sidecar.tail.rules import FinishedRule, check_patterns

MAX_SESSION_SECONDS = 1800
"""One that is forgotten ends within half an hour."""
MAX_SESSION_REQUESTS = 10_000
"""Some 20 MiB of spans."""

_MAX_SENDER = 64  # characters, as of a policy file's sender


class DebugSession:
    """A session that runs.

    Args:
        debug: as asked for; bounded by the largest duration and number.
        link: to the person's command.
        clock: monotonic seconds.

    Raises:
        ConfigError: if its conditions are wrong.
        ValueError: if they are not JSON.
    """

    def __init__(self, debug: Debug, link: WorkerLink, clock: Callable[[], float]) -> None:
        self._match: Mapping[str, Any] = json.loads(debug.match)
        policies = read_match(self._match)
        check_patterns(policies)
        self.head = policies.head
        """Its rule, where the head decision can ask it."""
        rule = (*policies.head, *policies.tail)[0]
        self.rule = FinishedRule(TailRule(**{one.name: getattr(rule, one.name) for one in fields(rule)}), "match")
        self.link = link
        self.seconds = min(debug.seconds, MAX_SESSION_SECONDS)
        self.requests = min(debug.requests, MAX_SESSION_REQUESTS)
        self.kept = 0
        self._sender = debug.sender[:_MAX_SENDER]
        self._clock = clock
        self._began_at = clock()

    @property
    def is_over(self) -> bool:
        """Its time is over."""
        return self._clock() >= self._began_at + self.seconds

    def acknowledge(self) -> None:
        """Tell the person's command how many requests are kept."""
        self.link.send(encode(Ack(self.kept)))

    def report(self) -> Mapping[str, object]:
        """Return its state, for a person; the value of a header that may be a secret is masked."""
        age = self._clock() - self._began_at
        return {
            "sender": self._sender,
            "match": {name: _masked(one) if name == "headers" else one for name, one in self._match.items() if one},
            "age_s": round(age, 1),
            "left_s": round(max(self.seconds - age, 0.0), 1),
            "kept": self.kept,
            "left_requests": self.requests - self.kept,
        }


def _masked(lines: list[str]) -> list[str]:
    sensitive = SensitiveNames.from_settings(Redaction())
    names = [(line.partition(":")[0].strip(), line) for line in lines]
    return [f"{one}: {MASK}" if one.lower() in CREDENTIAL_HEADERS or one in sensitive else line for one, line in names]
