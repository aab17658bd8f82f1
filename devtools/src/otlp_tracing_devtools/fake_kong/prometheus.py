"""The bundled `prometheus` plugin and the status listener's /metrics, with Kong 3.9's names.

There are the request counter, the bandwidth and the three latencies; no target health, no memory.

Source: kong/plugins/prometheus/exporter.lua of Kong 3.9.1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from otlp_tracing.config.validation import FieldList
from otlp_tracing_devtools.fake_kong.client_side import ClientRequest, Responder, reason_of
from otlp_tracing_devtools.fake_kong.context import RequestContext
from otlp_tracing_devtools.fake_kong.headers import Headers
from otlp_tracing_devtools.fake_kong.plugin_chain import ConfiguredPlugin, Plugin
from otlp_tracing_devtools.fake_kong.version import METRICS_WORKSPACE, RELEASES, Version

_FLAG = {"type": "boolean", "default": False}
_FIELDS: FieldList = [
    {"per_consumer": _FLAG},
    {"status_code_metrics": _FLAG},
    {"latency_metrics": _FLAG},
    {"bandwidth_metrics": _FLAG},
    {"upstream_health_metrics": _FLAG},
]
_BUCKETS_MS = (5, 7, 10, 15, 20, 30, 50, 75, 100, 200, 500, 750, 1000, 3000, 6000)
_UPSTREAM_BUCKETS_MS = (25, 50, 80, 100, 250, 400, 700, 1000, 2000, 5000, 10000, 30000, 60000)
_SOURCES = {"service": "service", "exit": "kong", "error": "kong"}

Labels = tuple[tuple[str, str], ...]
Series = tuple[str, Labels]


class Prometheus:
    """Counts finished requests and renders the counts; labels come from the declaration, so they are bounded."""

    def __init__(self, node_id: str, version: Version) -> None:
        self._node_id = node_id
        self._version = version
        self._requests = 0
        self._counters: Counter[Series] = Counter()
        self._histograms: dict[Series, tuple[tuple[int, ...], Counter[int], list[int]]] = {}

    @property
    def plugin(self) -> Plugin:
        """The plugin as the chain knows it."""
        return Plugin("prometheus", 13, frozenset({"log"}), _FIELDS, self)

    def count_request(self) -> None:
        """Count one request of any kind, as nginx does."""
        self._requests += 1

    async def run(self, phase: str, context: RequestContext, plugin: ConfiguredPlugin) -> None:  # noqa: ARG002
        """Count one request; one without a service is in none of Kong's counters."""
        if context.service is None:
            return
        config = plugin.config
        base = (("service", context.service.name or ""), ("route", (context.route.name if context.route else "") or ""))
        consumer = context.consumer.username if config["per_consumer"] and context.consumer else None
        workspace = (("workspace", "default"),) if self._version >= METRICS_WORKSPACE else ()
        tail = (*workspace, ("consumer", consumer or ""))
        if config["status_code_metrics"]:
            status = (("code", str(context.status)), ("source", _SOURCES[context.source]))
            self._counters["kong_http_requests_total", (*base, *status, *tail)] += 1
        if config["bandwidth_metrics"]:
            sizes = {"egress": context.sent_bytes, "ingress": context.received_bytes()}
            for direction, size in sizes.items():
                self._counters["kong_bandwidth_bytes", (*base, ("direction", direction), *tail)] += size
        if config["latency_metrics"]:
            self._observe_latencies(context, (*base, *workspace))

    def _observe_latencies(self, context: RequestContext, labels: Labels) -> None:
        times = context.times
        self._observe("kong_request_latency_ms", labels, _UPSTREAM_BUCKETS_MS, times.total_ms)
        self._observe("kong_kong_latency_ms", labels, _BUCKETS_MS, times.kong_ms)
        if times.waiting_ms >= 0:
            self._observe("kong_upstream_latency_ms", labels, _UPSTREAM_BUCKETS_MS, times.waiting_ms)

    def _observe(self, name: str, labels: Labels, bounds: tuple[int, ...], value: int) -> None:
        _, counts, totals = self._histograms.setdefault((name, labels), (bounds, Counter(), [0, 0]))
        for bound in bounds:
            counts[bound] += value <= bound
        totals[0] += 1
        totals[1] += value

    def render(self) -> str:
        """Give the text format."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        node = f'node_id="{self._node_id}"'
        yield "# TYPE kong_datastore_reachable gauge"
        yield "kong_datastore_reachable 1"
        yield "# TYPE kong_nginx_requests_total gauge"
        yield f'kong_nginx_requests_total{{{node},subsystem="http"}} {self._requests}'
        yield "# TYPE kong_node_info gauge"
        yield f'kong_node_info{{{node},version="{RELEASES[self._version]}"}} 1'
        for name in sorted({name for name, _ in self._counters}):
            yield f"# TYPE {name} counter"
            for (series, labels), value in sorted(self._counters.items()):
                if series == name:
                    yield f"{name}{_labels(labels)} {value}"
        for name in sorted({name for name, _ in self._histograms}):
            yield f"# TYPE {name} histogram"
            yield from self._histogram_lines(name)

    def _histogram_lines(self, name: str) -> Iterator[str]:
        for (series, labels), (bounds, counts, (number, total)) in sorted(self._histograms.items()):
            if series != name:
                continue
            for bound in bounds:
                yield f"{name}_bucket{_labels((*labels, ('le', str(bound))))} {counts[bound]}"
            yield f"{name}_bucket{_labels((*labels, ('le', '+Inf')))} {number}"
            yield f"{name}_count{_labels(labels)} {number}"
            yield f"{name}_sum{_labels(labels)} {total}"

    async def handle_status(self, request: ClientRequest, responder: Responder) -> None:
        """Serve the status listener: /metrics, and /status for health checks."""
        bodies: Mapping[str, tuple[str, str]] = {
            "/metrics": ("text/plain; charset=UTF-8", self.render()),
            "/status": ("application/json; charset=utf-8", '{"server":{}}'),
        }
        kind, text = bodies.get(request.target, ("application/json; charset=utf-8", '{"message":"Not found"}'))
        body = text.encode()
        status = 200 if request.target in bodies else 404
        headers = Headers([("Content-Type", kind), ("Content-Length", str(len(body)))])
        await responder.start(status, reason_of(status), headers)
        if request.method != "HEAD":
            await responder.write(body)


def _labels(labels: Labels) -> str:
    escaped = ((name, value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")) for name, value in labels)
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped) + "}"
