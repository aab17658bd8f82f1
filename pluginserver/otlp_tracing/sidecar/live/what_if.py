"""What a set of sampling rules would have kept of the last requests, and what that would have cost.

Pure. Decides with what decides on the request path (decision/) and after the response (tail_sampling.py);
only what is known of the requests is less. A budget is reckoned second by second, every rate lowered alike;
the load of a machine that is not there is not tried. Counts come out, no path and no header.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from otlp_tracing.config.settings import Sampling
from otlp_tracing.sampling import probability as head_sampling
from otlp_tracing.sampling import threshold
from otlp_tracing.sampling.rules import RequestLine, Rules
from otlp_tracing.sidecar.ingest.log_record import Latencies, LogRecord, Response, Try
from otlp_tracing.sidecar.live.requests import RecentRequest
from otlp_tracing.sidecar.tail.decision import keep_reason

__all__ = ["Decider", "RouteOutcome", "Trial", "try_rules"]


@dataclass(frozen=True, slots=True)
class Decider:
    """What one part of the rules did.

    Args:
        kind: parent, rule, rate; or, after the response, error, retry, slow, status.
        name: of the rule; empty for the others.
        requests: that it decided about; for what keeps after the response, those that it kept.
        kept: of them.
    """

    kind: str
    name: str
    requests: int
    kept: int


@dataclass(frozen=True, slots=True)
class RouteOutcome:
    """One route: its requests, what was kept of them, what would have been."""

    service: str
    route: str
    requests: int
    kept_live: int
    kept: int


@dataclass(frozen=True, slots=True)
class Trial:
    """What would have been.

    Args:
        requests: that these are about; all numbers are of requests.
        sample: of them, those that were looked at, each in the place of some; as many where every one was.
        seconds: between the first and the last of them.
        kept_live: kept by the rules in force.
        spans_live: of those.
        kept: by the rules tried.
        spans: of those.
        errors: requests that ended with a 5xx.
        errors_lost_live: of them, those that were not kept.
        errors_lost: of them, those that would not have been kept.
        deciders: in the order in which they are asked.
        routes: the busiest first.
        callers_unknown: requests whose caller's decision counts by these rules and is not known.
        headers_unknown: header names that these rules ask for and of which nothing is known.
        lowered: requests that were decided at a lower rate than configured, for the budget.
        has_load: these rules also follow the load, which was not tried.
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
    lowered: int
    has_load: bool


@dataclass(frozen=True, slots=True)
class _Choice:
    """Who decides about a request, and at which rate; None: as the caller did."""

    request: RecentRequest
    decider: tuple[str, str]
    rate: float | None


def try_rules(sampling: Sampling, requests: Sequence[RecentRequest]) -> Trial:
    """Decide about each request anew.

    Args:
        sampling: the rules to try.
        requests: oldest first.

    Raises:
        ConfigError: for a rule that cannot work.
    """
    rules = Rules.of(sampling.rules)
    choices = [_choose(request, sampling, rules) for request in requests]
    factors = _budget_factors(choices, sampling.budget.traces_per_second)
    asked: Counter[tuple[str, str]] = Counter()
    kept_by: Counter[tuple[str, str]] = Counter()
    kept: list[RecentRequest] = []
    for choice in choices:
        request, decider = choice.request, choice.decider
        asked[decider] += request.weight
        is_kept = _decide(choice, factors.get(int(request.arrived), 1.0))
        if not is_kept and (reason := keep_reason(_record(request), sampling.keep)):
            asked[reason, ""] += request.weight
            decider, is_kept = (reason, ""), True
        if is_kept:
            kept_by[decider] += request.weight
            kept.append(request)
    live = [request for request in requests if request.kept]
    return Trial(
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
        deciders=tuple(_deciders(sampling, asked, kept_by)),
        routes=_by_route(requests, kept),
        callers_unknown=_callers_unknown(requests, sampling),
        headers_unknown=_headers_unknown(requests, rules),
        lowered=_count(one.request for one in choices if one.rate is not None and int(one.request.arrived) in factors),
        has_load=sampling.load.high is not None,
    )


def _choose(request: RecentRequest, sampling: Sampling, rules: Rules) -> _Choice:
    if sampling.parent == "follow" and request.caller_sampled is not None:
        return _Choice(request, ("parent", ""), None)
    headers = {name: [request.redact(line) for line in lines] for name, lines in request.headers.items()}
    headers["host"] = [request.host]
    rule = rules.match(lambda: RequestLine(request.method, request.redact(request.path)), headers)
    return _Choice(request, ("rule", rule.name), rule.rate) if rule else _Choice(request, ("rate", ""), sampling.rate)


def _budget_factors(choices: Sequence[_Choice], traces_per_second: float) -> dict[int, float]:
    """Return by what the rates are multiplied in each second in which they would keep more than the budget."""
    if not traces_per_second:
        return {}
    wanted: defaultdict[int, float] = defaultdict(float)
    taken: Counter[int] = Counter()
    for choice in choices:
        second = int(choice.request.arrived)
        if choice.rate is None:
            taken[second] += choice.request.weight * bool(choice.request.caller_sampled)
        else:
            wanted[second] += choice.request.weight * choice.rate
    left = {second: max(traces_per_second - taken[second], 0.0) for second in wanted}
    return {second: left[second] / total for second, total in wanted.items() if total > left[second]}


def _decide(choice: _Choice, factor: float) -> bool:
    request = choice.request
    members = (("ot", f"rv:{request.randomness}"),) if request.randomness else ()
    if choice.rate is None:
        return head_sampling.follow_parent(request.trace_id, bool(request.caller_sampled), members)[0]
    return head_sampling.decide(request.trace_id, members, threshold.from_rate(choice.rate * factor))[0]


def _record(request: RecentRequest) -> LogRecord:
    return LogRecord(
        response=Response(status=request.status),
        latencies=Latencies(request=request.duration_ms),
        tries=[Try(state="failed")] if request.has_failed_try else None,
    )


def _count(requests: Iterable[RecentRequest]) -> int:
    return sum(request.weight for request in requests)


def _spans(requests: Iterable[RecentRequest]) -> int:
    """Count the spans of their traces: one of the gateway's own each, one a try."""
    return sum(request.weight * (1 + request.tries) for request in requests)


def _errors(requests: Iterable[RecentRequest]) -> int:
    return sum(request.weight for request in requests if request.status >= 500)


def _deciders(sampling: Sampling, asked: Counter[tuple[str, str]], kept: Counter[tuple[str, str]]) -> Iterator[Decider]:
    after = [(reason, "") for reason in ("error", "retry", "slow", "status")]
    for key in (("parent", ""), *dict.fromkeys(("rule", rule.name) for rule in sampling.rules), ("rate", ""), *after):
        if asked[key] or key[0] == "rule":
            yield Decider(*key, asked[key], kept[key])


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


def _headers_unknown(requests: Sequence[RecentRequest], rules: Rules) -> tuple[str, ...]:
    known = {name for request in requests for name in request.headers}
    return tuple(sorted({name for rule in rules.rules for name, _ in rule.headers} - known - {"host"}))
