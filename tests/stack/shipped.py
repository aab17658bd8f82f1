"""The files of kong/ as one machine needs them: the same content, local addresses, a clock that ticks faster."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from checkout import CHECKOUT

FOLDER = CHECKOUT / "kong"
"""Where the shipped files are."""

_SECOND = "1s"


def prometheus_files(target: Path, addresses: Mapping[str, str]) -> Path:
    """Write prometheus.yml with its rules, and return it.

    Args:
        target: an existing folder.
        addresses: `host:port` as shipped to `host:port` here.

    Raises:
        KeyError: if the shipped file scrapes something that has no address here.
    """
    shipped = yaml.safe_load((FOLDER / "prometheus" / "prometheus.yml").read_text())
    shipped["global"] = {"scrape_interval": _SECOND, "evaluation_interval": _SECOND}
    shipped["rule_files"] = [str(FOLDER / "prometheus" / pattern) for pattern in shipped["rule_files"]]
    for job in (*shipped["scrape_configs"], *shipped["alerting"]["alertmanagers"]):
        for group in job["static_configs"]:
            group["targets"] = [addresses[address] for address in group["targets"]]
    return _written(target / "prometheus.yml", shipped)


def alertmanager_configuration(target: Path) -> Path:
    """Write alertmanager.yml, and return it."""
    shipped = yaml.safe_load((FOLDER / "alertmanager" / "alertmanager.yml").read_text())
    shipped["route"] |= {"group_wait": _SECOND, "group_interval": _SECOND}
    return _written(target / "alertmanager.yml", shipped)


def collector_overrides(target: Path, addresses: Mapping[str, str], zipkin: str) -> Path:
    """Write the differences from kong/collector/collector.yaml with zipkin.yaml over it, for a further --config.

    Args:
        target: an existing folder.
        addresses: `host:port` as shipped to `host:port` here.
        zipkin: the URL that receives Zipkin's spans.
    """
    metrics_host, _, metrics_port = addresses["otel-collector:8888"].rpartition(":")
    shipped = yaml.safe_load((FOLDER / "collector" / "collector.yaml").read_text())
    (reader,) = shipped["service"]["telemetry"]["metrics"]["readers"]  # a list is replaced by an override, not merged
    reader["pull"]["exporter"]["prometheus"] |= {"host": metrics_host, "port": int(metrics_port)}
    overrides = {
        "receivers": {
            "otlp": {
                "protocols": {
                    "grpc": {"endpoint": addresses["otel-collector:4317"]},
                    "http": {"endpoint": addresses["otel-collector:4318"]},
                }
            }
        },
        "processors": {"batch": {"timeout": "100ms"}},
        "exporters": {
            "otlp_grpc/jaeger": {"endpoint": addresses["jaeger:4317"]},
            "prometheus": {"endpoint": addresses["otel-collector:8889"]},
            "zipkin": {"endpoint": zipkin},
            "debug/logs": {"verbosity": "detailed"},
        },
        "extensions": {"health_check": {"endpoint": addresses["otel-collector:13133"]}},
        "service": {"telemetry": {"metrics": {"readers": [reader]}}},
    }
    return _written(target / "collector.yaml", overrides)


def jaeger_configuration(target: Path, addresses: Mapping[str, str]) -> Path:
    """Write a Jaeger that keeps traces in memory; the shipped stack runs it without a file, with the same parts."""
    memory = {"backends": {"memory": {"memory": {"max_traces": 10_000}}}}
    query = {"storage": {"traces": "memory"}, "http": {"endpoint": addresses["jaeger:16686"]}}
    query["grpc"] = {"endpoint": "127.0.0.1:0"}
    return _written(
        target / "jaeger.yaml",
        {
            "service": {
                "extensions": ["jaeger_storage", "jaeger_query"],
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["jaeger_storage_exporter"]}},
            },
            "extensions": {"jaeger_storage": memory, "jaeger_query": query},
            "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": addresses["jaeger:4317"]}}}},
            "exporters": {"jaeger_storage_exporter": {"trace_storage": "memory"}},
        },
    )


def _written(path: Path, content: Mapping[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(dict(content), sort_keys=False))
    return path
