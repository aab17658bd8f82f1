"""What-if runs: which recent requests another set of sampling rules would have kept, and the number of their spans.

Pure. Decides with the code of the request path (sampling/) and of the tail decision (tail/decision.py), from the
recorded facts alone. A budget is applied second by second, lowering all rates by one factor; `load` is not simulated.
The result has counts, no path and no header.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from otlp_tracing.config.sensitive_names import CREDENTIAL_HEADERS, SensitiveNames
from otlp_tracing.config.settings import GRPC_CODES, Sampling, Settings
from otlp_tracing.context import TAIL_RULE
from otlp_tracing.sampling import probability as head_sampling
from otlp_tracing.sampling import threshold
from otlp_tracing.sampling.rules import RequestLine, Rules
from otlp_tracing.sidecar.ingest.log_record import (
    Consumer,
    Latencies,
    LogRecord,
    Request,
    Response,
    ResponseHeaders,
    Route,
    Service,
    Try,
)
from otlp_tracing.sidecar.ingest.request_record import RequestRecord
from otlp_tracing.sidecar.live.requests import RecentRequest
from otlp_tracing.sidecar.redaction.redactor import Redactor
from otlp_tracing.sidecar.tail.decision import keep_reason
from otlp_tracing.sidecar.tail.rules import FinishedRequest, FinishedRule, TailRules

_PATH = "url.path"
# Most of a run's 20,000 paths repeat; 4,096 of the longest take a megabyte.
_CACHED_TEXTS = 4_096


class WhatIfRedaction:
    """Limits the recorded facts of one plugin entry's requests.

    Without it, a person with access to what-if runs could guess a secret letter by letter.

    Args:
        headers: request headers, in lower case, that the entry's sampling rules match, without sensitive ones.
        redact: applied to a path or a header line before a rule is matched.
    """

    def __init__(self, headers: tuple[str, ...], redact: Callable[[str], str]) -> None:
        self.headers = headers
        self.redact = lru_cache(maxsize=_CACHED_TEXTS)(redact)

    @classmethod
    def from_settings(cls, settings: Settings, redactor: Redactor) -> WhatIfRedaction:
        """Make it from an entry's settings and redactor."""
        sensitive = SensitiveNames.from_settings(settings.redaction)
        rules = (*settings.sampling.rules, *settings.sampling.tail_rules)
        matched = {line.partition(":")[0].strip().lower() for rule in rules for line in rule.headers}
        names = (name for name in matched if name not in sensitive and name not in CREDENTIAL_HEADERS)
        return cls(tuple(sorted(names)), lambda text: _redacted(redactor, text))


def _redacted(redactor: Redactor, text: str) -> str:
    return str(redactor.redact_attributes({_PATH: text}, lambda *_: None)[0].get(_PATH, ""))


@dataclass(frozen=True, slots=True)
class Decider:
    """The decisions of one part of the rules.

    Args:
        kind: parent, rule, rate; or, after the response, error, retry, slow, status, tail_rule.
        name: of the rule; empty for the other kinds.
        requests: that it decided; for error, retry, slow and status, the requests that it kept.
        kept: number of them that were kept.
    """

    kind: str
    name: str
    requests: int
    kept: int


@dataclass(frozen=True, slots=True)
class RouteOutcome:
    """One route: its requests, those kept by the active rules, those kept by the tried ones."""

    service: str
    route: str
    requests: int
    kept_live: int
    kept: int


@dataclass(frozen=True, slots=True)
class WhatIfResult:
    """The outcome of a what-if run.

    Args:
        requests: number of requests; all numbers below count requests by their weight, unless said otherwise.
        sample: number of recorded requests, before their weights.
        seconds: between the first and the last of them.
        kept_live: kept by the active rules.
        spans_live: number of spans of those.
        kept: kept by the tried rules.
        spans: number of spans of those.
        errors: requests that ended with a 5xx.
        errors_lost_live: errors that the active rules did not keep.
        errors_lost: errors that the tried rules would not keep.
        deciders: in the order of evaluation.
        routes: the busiest first.
        callers_unknown: requests for which the caller's decision matters to the tried rules and was not recorded.
        headers_unknown: header names that the tried rules match and that were not recorded.
        rules_unknown: names of the tail rules that ask for other facts that are not recorded; no request matches them.
        lowered: requests decided at a lower rate than configured, because of the budget.
        has_load: the tried rules also follow the load, which is not simulated.
    """

    requests: int
    sample: int
    seconds: float
    kept_live: int
    spans_live: int
    kept: int
    spans: int
    errors: int
    errors_lost_live: int
    errors_lost: int
    deciders: tuple[Decider, ...]
    routes: tuple[RouteOutcome, ...]
    callers_unknown: int
    headers_unknown: tuple[str, ...]
    rules_unknown: tuple[str, ...]
    lowered: int
    has_load: bool


@dataclass(frozen=True, slots=True)
class _HeadDecision:
    """The decider of a request and its rate; a rate of None follows the caller."""

    request: RecentRequest
    decider: tuple[str, str]
    rate: float | None


def evaluate_rules(sampling: Sampling, requests: Sequence[RecentRequest]) -> WhatIfResult:
    """Decide each recorded request again, by other rules.

    Args:
        sampling: the rules to try.
        requests: oldest first.

    Raises:
        ConfigError: for an invalid rule.
    """
    rules, tail_rules = Rules.of(sampling.rules), TailRules(sampling.tail_rules)
    decisions = [_decide_head(request, sampling, rules) for request in requests]
    factors = _budget_factors(decisions, sampling.budget.traces_per_second)
    considered: Counter[tuple[str, str]] = Counter()
    kept_by: Counter[tuple[str, str]] = Counter()
    kept: list[RecentRequest] = []
    for decision in decisions:
        request, decider = decision.request, decision.decider
        considered[decider] += request.weight
        is_kept = _is_kept(decision, factors.get(int(request.arrived), 1.0))
        record = _record(request, tail_rules)
        reason = keep_reason(record, sampling.keep)
        if not is_kept and reason:
            considered[reason, ""] += request.weight
            decider, is_kept = (reason, ""), True
        elif reason is None and (rule := _match(tail_rules, request, record)):
            decider = (TAIL_RULE, rule.name)
            considered[decider] += request.weight
            is_kept = head_sampling.decide(request.trace_id, _members(request), rule.threshold)[0]
        if is_kept:
            kept_by[decider] += request.weight
            kept.append(request)
    live = [request for request in requests if request.kept]
    return WhatIfResult(
        requests=_count(requests),
        sample=len(requests),
        seconds=requests[-1].arrived - requests[0].arrived if requests else 0.0,
        kept_live=_count(live),
        spans_live=_spans(live),
        kept=_count(kept),
        spans=_spans(kept),
        errors=_errors(requests),
        errors_lost_live=_errors(requests) - _errors(live),
        errors_lost=_errors(requests) - _errors(kept),
        deciders=tuple(_deciders(sampling, considered, kept_by)),
        routes=_by_route(requests, kept),
        callers_unknown=_callers_unknown(requests, sampling),
        headers_unknown=_headers_unknown(requests, rules, tail_rules),
        rules_unknown=tuple(rule.name for rule in tail_rules.rules if rule.is_unrecorded),
        lowered=_count(
            one.request for one in decisions if one.rate is not None and int(one.request.arrived) in factors
        ),
        has_load=sampling.load.high is not None,
    )


def _decide_head(request: RecentRequest, sampling: Sampling, rules: Rules) -> _HeadDecision:
    if sampling.parent == "follow" and request.caller_sampled is not None:
        return _HeadDecision(request, ("parent", ""), None)
    rule = rules.match(lambda: RequestLine(request.method, request.redact(request.path)), _headers(request))
    return (
        _HeadDecision(request, ("rule", rule.name), rule.rate)
        if rule
        else _HeadDecision(request, ("rate", ""), sampling.rate)
    )


def _headers(request: RecentRequest) -> dict[str, list[str]]:
    headers = {name: [request.redact(line) for line in lines] for name, lines in request.headers.items()}
    headers["host"] = [request.host]
    return headers


def _match(rules: TailRules, request: RecentRequest, record: RequestRecord) -> FinishedRule | None:
    if not rules.rules:
        return None
    finished = FinishedRequest(record, dict, _headers(request))
    return next((rule for rule in rules.rules if not rule.is_unrecorded and rule.matches(finished)), None)


def _record(request: RecentRequest, tail_rules: TailRules) -> RequestRecord:
    """Return a request as the tail decision reads it; what rules alone ask for is left out if there are none."""
    latencies, tries = Latencies(request=request.duration_ms), [Try(state="failed")] if request.has_failed_try else None
    if not tail_rules.rules:
        return RequestRecord(LogRecord(response=Response(status=request.status), latencies=latencies, tries=tries))
    names = [request.redact(name) for name in request.consumer]
    status = None if request.grpc_status is None else str(GRPC_CODES.index(request.grpc_status))
    log = LogRecord(
        request=Request(request.method, request.redact(request.path), size=request.request_bytes),
        response=Response(request.status, ResponseHeaders(grpc_status=status), request.response_bytes),
        latencies=latencies,
        tries=tries,
        service=Service(name=request.service) if request.service else None,
        route=Route(name=request.route, tags=[*request.tags]) if request.route or request.tags else None,
        consumer=Consumer(**dict(zip(("username", "custom_id", "id"), names, strict=False))) if names else None,
    )
    return RequestRecord(log)


def _members(request: RecentRequest) -> tuple[tuple[str, str], ...]:
    return (("ot", f"rv:{request.randomness}"),) if request.randomness else ()


def _budget_factors(decisions: Sequence[_HeadDecision], traces_per_second: float) -> dict[int, float]:
    """Return the factor for all rates of each second in which they would exceed the budget."""
    if not traces_per_second:
        return {}
    wanted: defaultdict[int, float] = defaultdict(float)
    taken: Counter[int] = Counter()
    for decision in decisions:
        second = int(decision.request.arrived)
        if decision.rate is None:
            taken[second] += decision.request.weight * bool(decision.request.caller_sampled)
        else:
            wanted[second] += decision.request.weight * decision.rate
    left = {second: max(traces_per_second - taken[second], 0.0) for second in wanted}
    return {second: left[second] / total for second, total in wanted.items() if total > left[second]}


def _is_kept(decision: _HeadDecision, factor: float) -> bool:
    request = decision.request
    members = _members(request)
    if decision.rate is None:
        return head_sampling.follow_parent(request.trace_id, bool(request.caller_sampled), members)[0]
    return head_sampling.decide(request.trace_id, members, threshold.from_rate(decision.rate * factor))[0]


def _count(requests: Iterable[RecentRequest]) -> int:
    return sum(request.weight for request in requests)


def _spans(requests: Iterable[RecentRequest]) -> int:
    """Count the spans of their traces: one SERVER span each, and one CLIENT span a try."""
    return sum(request.weight * (1 + request.tries) for request in requests)


def _errors(requests: Iterable[RecentRequest]) -> int:
    return sum(request.weight for request in requests if request.status >= 500)


def _deciders(
    sampling: Sampling, considered: Counter[tuple[str, str]], kept: Counter[tuple[str, str]]
) -> Iterator[Decider]:
    after = [(reason, "") for reason in ("error", "retry", "slow", "status")]
    rules = dict.fromkeys(("rule", rule.name) for rule in sampling.rules)
    tail_rules = dict.fromkeys((TAIL_RULE, rule.name) for rule in sampling.tail_rules)
    for key in (("parent", ""), *rules, ("rate", ""), *after, *tail_rules):
        if considered[key] or key[1]:
            yield Decider(*key, considered[key], kept[key])


def _by_route(requests: Iterable[RecentRequest], kept: Iterable[RecentRequest]) -> tuple[RouteOutcome, ...]:
    seen: Counter[tuple[str, str]] = Counter()
    live: Counter[tuple[str, str]] = Counter()
    tried: Counter[tuple[str, str]] = Counter()
    for request in requests:
        seen[request.service, request.route] += request.weight
        live[request.service, request.route] += request.weight * request.kept
    for request in kept:
        tried[request.service, request.route] += request.weight
    return tuple(RouteOutcome(*route, count, live[route], tried[route]) for route, count in seen.most_common())


def _callers_unknown(requests: Sequence[RecentRequest], sampling: Sampling) -> int:
    if sampling.parent == "ignore":
        return 0
    return _count(request for request in requests if request.has_caller and request.caller_sampled is None)


def _headers_unknown(requests: Sequence[RecentRequest], rules: Rules, tail_rules: TailRules) -> tuple[str, ...]:
    known = {name for request in requests for name in request.headers}
    asked = {name for rule in rules.rules for name, _ in rule.headers}
    asked |= {name for rule in tail_rules.rules for name in rule.request_headers}
    return tuple(sorted(asked - known - {"host"}))
