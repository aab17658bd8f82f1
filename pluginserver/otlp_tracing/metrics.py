"""Every metric, declared once, and the plain counters that processes without Prometheus keep.

The gateway's processes count in a Counters and report its totals to the sidecar, which shows them on
/metrics beside its own (sidecar/telemetry/registry.py). Totals, not differences: a report that gets lost is made
good by the next.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple


@dataclass(frozen=True, slots=True)
class Metric:
    """A time series family.

    Args:
        name: as Prometheus shows it.
        kind: a counter's name ends in `_total`.
        help: one sentence for a person.
        labels: names of its labels.
        buckets: upper bounds of a histogram's, in its unit.
        values: of its only label, where they are known beforehand; each is shown from the start, as 0, since a
            series that begins with its first count looks to an alert as if it had never risen.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    values: tuple[str, ...] = ()


class DeliveryMetrics(NamedTuple):
    """The metrics of a signal's delivery, by destination."""

    received: Metric
    restored: Metric
    exported: Metric
    rejected: Metric
    dropped: Metric
    spooled: Metric
    in_flight: Metric


_DESTINATION = ("destination",)

# Counted in the gateway's processes.
EVENTS_FAILED = Metric(
    "otlp_tracing_events_failed_total", "counter", "Events that a phase ended with an exception.", ("phase",)
)
OPTIONS_REFUSED = Metric(
    "otlp_tracing_options_refused_total",
    "counter",
    "Options of `serve`, and their variables, that cannot be used, so that their defaults count.",
    ("option",),
)
_UNTRACED = ("capture_failed", "bad_configuration", "queue_full", "record_too_large")
REQUESTS_UNTRACED = Metric(
    "otlp_tracing_requests_untraced_total",
    "counter",
    f"Requests of which the sidecar got no record: {', '.join(_UNTRACED)}.",
    ("reason",),
    values=_UNTRACED,
)

REQUESTS_BEGUN = Metric(
    "otlp_tracing_requests_begun_total",
    "counter",
    "Requests whose trace `access` began; with Kong's own queue, those that no record followed were lost on the way.",
)

# Counted in the sidecar.
_LISTENED = ("--http", "--ingest-http")
LISTEN_FAILED = Metric(
    "otlp_tracing_listen_failed_total",
    "counter",
    "Attempts of the sidecar to listen that failed, because another process had the port for example, by option: "
    f"{', '.join(_LISTENED)}.",
    ("option",),
    values=_LISTENED,
)
REQUESTS = Metric(
    "otlp_tracing_requests_total",
    "counter",
    "Requests by decision: not_sampled, dropped_later by a tail rule, or kept by parent, policy, rule, rate, budget, "
    "load, error, retry, slow, status, rare, tail_rule.",
    ("decision",),
)
REQUEST_DURATION = Metric(
    "otlp_tracing_request_duration_seconds",
    "histogram",
    "How long requests took, all of them, kept or not; kept ones are exemplars (OpenMetrics).",
    ("service", "route", "method", "status", "source"),
    # The advice of the semantic conventions for http.server.request.duration.
    (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10),
)
ROUTE_REQUESTS = Metric(
    "otlp_tracing_route_requests_total",
    "counter",
    "Requests of each route, by decision, with the words of otlp_tracing_requests_total.",
    ("service", "route", "decision"),
)
SAMPLING_PROBABILITY = Metric(
    "otlp_tracing_sampling_probability",
    "gauge",
    "Mean probability at which an entry's requests were kept over the last seconds; without traffic, the rate.",
    ("entry",),
)
SAMPLING_FACTOR = Metric(
    "otlp_tracing_sampling_factor",
    "gauge",
    "Factor on the configured rates, 0 to 1, by cause: budget, load.",
    ("entry", "cause"),
)
SAMPLING_BUDGET = Metric(
    "otlp_tracing_sampling_budget_traces_per_second",
    "gauge",
    "The configured budget; 0 means no bound.",
    ("entry",),
)
SAMPLING_TRACES = Metric(
    "otlp_tracing_sampling_traces_per_second",
    "gauge",
    "Traces kept per second over the last seconds, for any reason.",
    ("entry",),
)
_LOADS = ("applied", "refused")
POLICY_LOADS = Metric(
    "otlp_tracing_policy_loads_total",
    "counter",
    f"Versions of the policy file that were read, by result: {', '.join(_LOADS)}.",
    ("result",),
    values=_LOADS,
)
POLICIES = Metric("otlp_tracing_policies", "gauge", "Policies in force, of the last good version of the policy file.")
CPU_LOAD = Metric(
    "otlp_tracing_cpu_load", "gauge", "Load of the processors that this machine or container may use, 0 to 1."
)
NAMES_REFUSED = Metric(
    "otlp_tracing_names_refused_total",
    "counter",
    "Times that a name stayed out of spans or labels, there being too many: http.route, rpc.method, gen_ai.model, "
    "request_duration, route_requests, metric_series.",
    ("kind",),
)
_REFUSED = ("bad_frame", "bad_record", "bad_configuration", "foreign_user", "bad_token", "bad_batch", "no_entry")
RECORDS_REFUSED = Metric(
    "otlp_tracing_records_refused_total",
    "counter",
    f"Records, frames and batches that the sidecar refused: {', '.join(_REFUSED)}.",
    ("reason",),
    values=_REFUSED,
)
RECORDS_REPEATED = Metric(
    "otlp_tracing_records_repeated_total",
    "counter",
    "Records that came again, and were counted and sent once; only looked for with --ingest-http.",
)
RECORD_FIELDS_IGNORED = Metric(
    "otlp_tracing_record_fields_ignored_total",
    "counter",
    "Fields of Kong's log record that were left out, because another plugin wrote a wrong type or number. "
    "Of a request that is only counted, only the fields that counting needs are read.",
    ("field",),
)
_SETTINGS = ("span.attributes", "span.name", "logs.body", "logs", "metrics")
SETTINGS_REFUSED = Metric(
    "otlp_tracing_settings_refused_total",
    "counter",
    f"Settings of an entry that cannot be used, so that this part alone is left out: {', '.join(_SETTINGS)}.",
    ("setting",),
    values=_SETTINGS,
)
NGINX_FACTS_IGNORED = Metric(
    "otlp_tracing_nginx_facts_ignored_total",
    "counter",
    "Facts of the nginx snippet that were ignored: of the wrong type, or, as `version`, of another snippet.",
    ("fact",),
)
REDACTIONS = Metric(
    "otlp_tracing_redactions_total",
    "counter",
    "Findings of redaction, by rule and action: redacted, or (dry_run) reported.",
    ("rule", "action"),
)
REDACTION_ROWS_REFUSED = Metric(
    "otlp_tracing_redaction_rows_refused_total",
    "counter",
    "Findings that /redaction does not show, there being too many routes and attributes.",
)
SPANS = DeliveryMetrics(
    received=Metric("otlp_tracing_spans_received_total", "counter", "Spans taken over for delivery.", _DESTINATION),
    restored=Metric(
        "otlp_tracing_spans_restored_total",
        "counter",
        "Spans that this process found in its spool when it started.",
        _DESTINATION,
    ),
    exported=Metric("otlp_tracing_spans_exported_total", "counter", "Spans that the collector accepted.", _DESTINATION),
    rejected=Metric(
        "otlp_tracing_spans_rejected_total",
        "counter",
        "Spans that the collector answered it would not take.",
        _DESTINATION,
    ),
    dropped=Metric(
        "otlp_tracing_spans_dropped_total",
        "counter",
        "Spans given up: spool_full, memory_full, retry_expired, too_large, bad_span, corrupt.",
        (*_DESTINATION, "reason"),
    ),
    spooled=Metric("otlp_tracing_spans_spooled", "gauge", "Spans waiting to be sent.", _DESTINATION),
    in_flight=Metric("otlp_tracing_spans_in_flight", "gauge", "Spans sent and not yet answered.", _DESTINATION),
)
LOG_RECORDS = DeliveryMetrics(
    *(
        replace(
            one,
            name=one.name.replace("spans", "log_records"),
            help=one.help.replace("Spans", "Log records").replace("bad_span", "bad_record"),
        )
        for one in SPANS
    )
)
"""Of access logs: as SPANS, with `log_records` for `spans`."""

# By its name in the semantic conventions 1.44, docs/otel/sdk-metrics.md. The other otel.sdk.* metrics count the same
# as our own, by exporter instead of by destination, and would only count it twice.
EXPORT_DURATION = Metric(
    "otel_sdk_exporter_operation_duration_seconds",
    "histogram",
    "Time that a collector took to answer an export, by its answer; error_type is empty for a success.",
    ("otel_component_type", "destination", "error_type"),
    (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
METRIC_EXPORTS = Metric(
    "otlp_tracing_metric_exports_total",
    "counter",
    "Messages of OTLP metrics that were sent, by the collector's answer; error_type is empty for a success.",
    ("destination", "error_type"),
)
DESTINATION_HELD = Metric(
    "otlp_tracing_destination_held",
    "gauge",
    "1 while a destination's spans are held until a person corrects something: unauthorized, not_otlp, refused.",
    ("destination", "reason"),
)
SPOOL_DEGRADED = Metric(
    "otlp_tracing_spool_degraded",
    "gauge",
    "1 while the disk does not take spans and they are kept in memory, which a killed process loses; else 0.",
)
SPOOL_BYTES = Metric(
    "otlp_tracing_spool_bytes", "gauge", "Disk space of the spans that wait or are in flight, of all destinations."
)
SPOOL_MAX_BYTES = Metric(
    "otlp_tracing_spool_max_bytes",
    "gauge",
    "Bound on the disk space of all destinations, beyond which the oldest traces are dropped; 0 without a spool.",
)

METRICS: tuple[Metric, ...] = tuple(
    metric
    for value in tuple(globals().values())
    for metric in ((value,) if isinstance(value, Metric) else value if isinstance(value, DeliveryMetrics) else ())
)
"""All of the above, in their order."""

Total = tuple[str, tuple[str, ...], int]
"""A metric's name, its label values in the declared order, the count so far."""


class Counters:
    """Counters of one process."""

    def __init__(self) -> None:
        self._values: defaultdict[tuple[str, tuple[str, ...]], int] = defaultdict(int)

    def add(self, metric: Metric, *label_values: str, amount: int = 1) -> None:
        """Count `amount` more."""
        self._values[metric.name, label_values] += amount

    def totals(self) -> list[Total]:
        """Return all that was counted since the process started."""
        return [(name, labels, value) for (name, labels), value in self._values.items()]
