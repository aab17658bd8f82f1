"""The real OpenTelemetry Collector as a process: OTLP in, a file of JSON lines a signal out."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import urllib.request
from collections.abc import Collection, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from e2e.ports import HOST, accepts, free_port
from e2e.processes import end
from e2e.spans import SeenSpan, from_otlp_json
from e2e.waiting import wait_for

_BUILD = Path(__file__).with_name("collector") / "build.sh"
_START_SECONDS = 30.0
_STOP_SECONDS = 10.0


class CollectorMissing(Exception):
    """There is no collector here and none can be built; the message says why."""


def collector_binary(*builder: Path) -> Path:
    """Return the collector, building it at the first time, which takes minutes.

    Args:
        builder: a configuration of the official builder; empty for the collector of most tests.

    Raises:
        CollectorMissing: Go is missing, or the build failed.
    """
    built = subprocess.run(["/bin/sh", str(_BUILD), *map(str, builder)], capture_output=True, text=True, check=False)
    if built.returncode:
        raise CollectorMissing(built.stderr.strip())
    return Path(built.stdout.strip())


class Collector:
    """One collector on ports of its own, which it keeps when it is started again. Use it with `with`.

    Args:
        binary: from `collector_binary`.
        folder: an empty one, for its configuration, its log and the collected spans.
    """

    def __init__(self, binary: Path, folder: Path) -> None:
        self._binary = binary
        self._port, self._http_port, self._prometheus_port = free_port(), free_port(), free_port()
        self._config = folder / "collector.yaml"
        self._file = folder / "collected.jsonl"
        self._log_records, self._metrics = folder / "logs.jsonl", folder / "metrics.jsonl"
        self._log = folder / "collector.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._config.write_text(yaml.safe_dump(self._configuration()))

    @property
    def port(self) -> int:
        """Where it takes OTLP over gRPC."""
        return self._port

    @property
    def endpoint(self) -> str:
        """The address to export to."""
        return f"http://{HOST}:{self._port}"

    @property
    def http_endpoint(self) -> str:
        """The address to export to over HTTP."""
        return f"http://{HOST}:{self._http_port}"

    def start(self) -> None:
        """Start it and wait until it listens."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._binary), "--config", f"file:{self._config}"], stdout=log, stderr=log
            )
        wait_for(lambda: accepts((HOST, self._port)) or self._ended(), _START_SECONDS, "the collector listens")
        assert not self._ended(), self.log()

    def stop(self) -> None:
        """Stop it. It writes the spans that it has."""
        if self._process is not None:
            end(self._process, _STOP_SECONDS)
            self._process = None

    def kill(self) -> None:
        """SIGKILL: it writes nothing more. A line that was cut short must not run into the next start's first."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None
        if not self.text().endswith("\n"):
            with self._file.open("a") as file:
                file.write("\n")

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """SIGSTOP for as long as the block runs: it accepts and never answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def spans(self) -> list[SeenSpan]:
        """Return every span that it has written, over all its starts."""
        *lines, _unfinished = self.text().split("\n")
        return [span for line in lines for span in from_otlp_json(json.loads(line))]

    def log_records(self, trace_ids: Collection[str]) -> list[dict[str, Any]]:
        """Return the log records of some traces, as it has written them."""
        return [
            record
            for message in _messages(self._log_records)
            for resource in message["resourceLogs"]
            for scope in resource["scopeLogs"]
            for record in scope["logRecords"]
            if record.get("traceId") in trace_ids
        ]

    def exemplars(self, metric_name: str = "http.server.request.duration") -> set[str]:
        """Return the trace ids of all exemplars of a metric."""
        points = self._points(metric_name)
        return {exemplar["traceId"] for point in points for exemplar in point.get("exemplars", ())}

    def request_counts(self) -> list[tuple[str, int]]:
        """Return start time and count of each point of the requests' durations, in the order of arrival."""
        points = self._points("http.server.request.duration")
        return [(point["startTimeUnixNano"], int(point["count"])) for point in points]

    def _points(self, metric_name: str) -> list[dict[str, Any]]:
        return [
            point
            for message in _messages(self._metrics)
            for resource in message["resourceMetrics"]
            for scope in resource["scopeMetrics"]
            for metric in scope["metrics"]
            if metric["name"] == metric_name
            for point in metric["histogram"]["dataPoints"]
        ]

    def prometheus(self) -> str:
        """Return the metrics as Prometheus would read them."""
        with urllib.request.urlopen(f"http://{HOST}:{self._prometheus_port}/metrics", timeout=5) as answer:
            return str(answer.read().decode())

    def all_text(self) -> str:
        """Return all that it has written, of every signal."""
        files = (self._file, self._log_records, self._metrics)
        return "".join(file.read_text() for file in files if file.exists())

    def text(self) -> str:
        """Return all that it has written, as it is."""
        return self._file.read_text() if self._file.exists() else ""

    def log(self) -> str:
        """Return its log, with the lines of its debug exporter."""
        return self._log.read_text(errors="replace")

    def __enter__(self) -> Collector:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _configuration(self) -> dict[str, object]:
        processors = ["memory_limiter", "batch"]
        return {
            "receivers": {
                "otlp": {
                    "protocols": {
                        "grpc": {"endpoint": f"{HOST}:{self._port}"},
                        "http": {"endpoint": f"{HOST}:{self._http_port}"},
                    }
                }
            },
            "processors": {
                "memory_limiter": {"check_interval": "1s", "limit_mib": 256},
                "batch": {"timeout": "50ms"},
            },
            "exporters": {
                "file": _to(self._file),
                "file/logs": _to(self._log_records),
                "file/metrics": _to(self._metrics),
                "debug": {},
                "prometheus": {"endpoint": f"{HOST}:{self._prometheus_port}"},
            },
            "service": {
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {
                    "traces": {"receivers": ["otlp"], "processors": processors, "exporters": ["file", "debug"]},
                    "metrics": {
                        "receivers": ["otlp"],
                        "processors": processors,
                        "exporters": ["prometheus", "file/metrics"],
                    },
                    "logs": {"receivers": ["otlp"], "processors": processors, "exporters": ["file/logs"]},
                },
            },
        }


def _to(file: Path) -> dict[str, object]:
    return {"path": str(file), "append": True, "flush_interval": "100ms"}


def _messages(file: Path) -> list[dict[str, Any]]:
    *lines, _unfinished = file.read_text().split("\n") if file.exists() else [""]
    return [json.loads(line) for line in lines]
