"""Rules on the finished request: the first that matches sets its rate, whatever the head decision. Pure.

Every list of a rule is a condition; an empty one matches every request. The conditions on the request as the client
sent it are those of the head's rules (sampling/rules.py), and so is the syntax of names, paths and values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from otlp_tracing.config.policies import Policies
from otlp_tracing.config.settings import TailRule
from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.propagation.caller import Headers
from otlp_tracing.sampling.rules import Matcher, RequestLine, Rule, any_of, glob
from otlp_tracing.sidecar.ingest.entities import all_tags, consumer_names, names_of
from otlp_tracing.sidecar.ingest.request_record import RequestRecord, lines

_CLASS = 100  # a status from 1 to 5 is a class of as many statuses

Values = Mapping[str, object]


class FinishedRequest:
    """The facts that rules ask for; headers and attributes are read once, and only for a rule that names them.

    Args:
        record: of the request.
        read_attributes: returns the attributes of its SERVER span, unredacted.
        headers: of the request, if they are not those of the record.
    """

    __slots__ = ("_attributes", "_headers", "_read_attributes", "record")

    def __init__(
        self, record: RequestRecord, read_attributes: Callable[[], Values], headers: Headers | None = None
    ) -> None:
        self.record: Final = record
        self._read_attributes = read_attributes
        self._headers = headers
        self._attributes: Values | None = None

    @property
    def headers(self) -> Headers:
        """Of the request, by lower-case name."""
        if self._headers is None:
            received = self.record.request_headers
            self._headers = {name: lines(received, name) for name in received}
        return self._headers

    def attribute(self, name: str) -> list[str]:
        """Return the values of an attribute; none without it."""
        if self._attributes is None:
            self._attributes = self._read_attributes()
        value = self._attributes.get(name)
        if isinstance(value, bool):
            return ["true" if value else "false"]
        return [str(one) for one in (value if isinstance(value, list) else [value]) if one is not None]


class FinishedRule:
    """A rule, ready to be asked.

    Args:
        rule: from the configuration.
        place: its field, for errors.

    Raises:
        ConfigError: for a regular expression that RE2 does not take.
    """

    __slots__ = (
        "_attributes", "_consumer", "_request", "_response_headers", "_route", "_rule", "_service", "_statuses",
        "_tag", "name", "rate", "threshold",
    )  # fmt: skip
    name: Final[str]
    rate: Final[float]
    threshold: Final[int]

    def __init__(self, rule: TailRule, place: str) -> None:
        self._request = Rule.of(rule, place)
        self.name = rule.name
        self.rate = rule.rate
        self.threshold = self._request.threshold_
        self._rule = rule
        self._statuses = frozenset(rule.statuses)
        self._consumer = _any_name(rule.consumers, f"{place}.consumers")
        self._service = _any_name(rule.services, f"{place}.services")
        self._route = _any_name(rule.routes, f"{place}.routes")
        self._tag = _any_name(rule.tags, f"{place}.tags")
        self._response_headers = [(name.lower(), one) for name, one in _pairs(rule.response_headers, place)]
        self._attributes = _pairs(rule.attributes, place)

    @property
    def is_unrecorded(self) -> bool:
        """It has a condition on a fact that is not kept for what-if runs."""
        return bool(self._response_headers or self._attributes)

    @property
    def reads_whole(self) -> bool:
        """It has a condition on a fact that the outline of a record does not have."""
        rule = self._rule
        return bool(rule.larger_than_bytes or rule.consumers or rule.tags) or self.is_unrecorded

    @property
    def request_headers(self) -> Sequence[str]:
        """The names of the request headers that it asks for, in lower case."""
        return [name for name, _ in self._request.headers]

    def matches(self, request: FinishedRequest) -> bool:
        """Tell whether a request meets all conditions; those that cost the least come first."""
        return (
            self._matches_figures(request.record) and self._matches_entities(request.record) and self._matches(request)
        )

    def _matches_figures(self, record: RequestRecord) -> bool:
        rule, status = self._rule, record.status
        if self._statuses and status not in self._statuses and status // _CLASS not in self._statuses:
            return False
        if rule.grpc_statuses and record.grpc_status not in rule.grpc_statuses:
            return False
        took_ms = record.outline.latencies.request
        if rule.slower_than_ms and (took_ms is None or took_ms <= rule.slower_than_ms):
            return False
        if rule.faster_than_ms and (took_ms is None or took_ms >= rule.faster_than_ms):
            return False
        if not rule.larger_than_bytes:
            return True
        return max(record.log.request.size or 0, record.log.response.size or 0) > rule.larger_than_bytes

    def _matches_entities(self, record: RequestRecord) -> bool:
        outline = record.outline
        return (
            (self._service is None or any(map(self._service, names_of(outline.service))))
            and (self._route is None or any(map(self._route, names_of(outline.route))))
            and (self._consumer is None or any(map(self._consumer, consumer_names(record.log))))
            and (self._tag is None or any(map(self._tag, all_tags(record.log))))
        )

    def _matches(self, request: FinishedRequest) -> bool:
        record, asked = request.record, self._request
        if asked.asks_for_line and not asked.matches_line(RequestLine(record.method, record.path)):
            return False
        if (asked.host is not None or asked.headers) and not asked.matches_headers(request.headers):
            return False
        for name, matches in self._response_headers:
            if not any(map(matches, lines(record.response_headers, name))):
                return False
        return all(any(map(matches, request.attribute(name))) for name, matches in self._attributes)


class TailRules:
    """The rules of one plugin entry, in order."""

    __slots__ = ("rules",)
    rules: Final[Sequence[FinishedRule]]

    def __init__(self, rules: Iterable[TailRule] = (), place: str = "sampling.tail_rules") -> None:
        """Make them from the configuration.

        Raises:
            ConfigError: with the first rule that cannot work.
        """
        self.rules = [FinishedRule(rule, f"{place}[{number}]") for number, rule in enumerate(rules, 1)]

    @property
    def reads_whole(self) -> bool:
        """A rule reads more of a record than its outline."""
        return any(rule.reads_whole for rule in self.rules)

    def match(self, request: FinishedRequest) -> FinishedRule | None:
        """Return the first rule that matches."""
        for rule in self.rules:
            if rule.matches(request):
                return rule
        return None


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


def _any_name(names: Iterable[str], place: str) -> Matcher | None:
    return any_of([glob(name) for name in names], place)


def _pairs(conditions: Iterable[str], place: str) -> list[tuple[str, Matcher]]:
    found: list[tuple[str, Matcher]] = []
    for line in conditions:
        name, _, value = line.partition(":")
        matches = _any_name([value.strip()], place)
        if matches is not None:
            found.append((name, matches))
    return found
