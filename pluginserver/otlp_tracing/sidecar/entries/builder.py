"""From the configuration of a plugin entry to the entry, its destinations and its metrics.

A part that cannot be used costs that part alone: it is logged, counted, and left out.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from functools import partial

from otlp_tracing.config.entry_identity import entry_name, entry_scope
from otlp_tracing.config.settings import Settings
from otlp_tracing.errors import ConfigError
from otlp_tracing.metrics import NAMES_REFUSED, SETTINGS_REFUSED
from otlp_tracing.sampling.head import RequestTracer
from otlp_tracing.sampling.head_policy import HeadPolicy
from otlp_tracing.sidecar.access_logs.access_log import AccessLog
from otlp_tracing.sidecar.access_logs.body import Body
from otlp_tracing.sidecar.entries.entry import Entry
from otlp_tracing.sidecar.export.destination import Destination
from otlp_tracing.sidecar.export.exporters import ExporterRegistry
from otlp_tracing.sidecar.export.metric_exporter import MetricExporters
from otlp_tracing.sidecar.live.recorder import Recorder
from otlp_tracing.sidecar.live.what_if import WhatIfRedaction
from otlp_tracing.sidecar.redaction.redactor import Redactor, shared_redactor
from otlp_tracing.sidecar.redaction.report import RedactionReport
from otlp_tracing.sidecar.route_table import NO_ROUTE
from otlp_tracing.sidecar.spans import resource
from otlp_tracing.sidecar.spans.cardinality import CardinalityLimit
from otlp_tracing.sidecar.spans.http_methods import HttpMethods
from otlp_tracing.sidecar.spans.model import Attributes
from otlp_tracing.sidecar.spans.rules import SpanRules
from otlp_tracing.sidecar.spans.shared_attributes import SharedTable
from otlp_tracing.sidecar.tail.controller import SamplingController
from otlp_tracing.sidecar.tail.rules import TailRules
from otlp_tracing.sidecar.telemetry.registry import Metrics
from otlp_tracing.sidecar.telemetry.request_metrics import EntryMetrics, RequestMetrics

_log = logging.getLogger("otlp_tracing.sidecar.entries")


class EntryBuilder:
    """Makes entries.

    Args:
        metrics: count the parts of entries that are left out.
        environment: `OTEL_*` variables.
        exporters: to every destination.
        rates: moves the sampling rates of entries.
        policy: of the whole gateway's head decision.
        methods: the known request methods.
        redactions: counts findings in attributes of metrics.
        request_metrics: count the requests of entries with metrics.
        metric_exporters: of OTLP metrics; None sends none.
        recorder: of the live page; None if the page is off.
    """

    def __init__(
        self,
        metrics: Metrics,
        environment: Mapping[str, str],
        exporters: ExporterRegistry,
        rates: SamplingController,
        policy: HeadPolicy,
        *,
        methods: HttpMethods,
        redactions: RedactionReport,
        request_metrics: RequestMetrics,
        metric_exporters: MetricExporters | None,
        recorder: Recorder | None,
    ) -> None:
        self._metrics = metrics
        self._environment = environment
        self._exporters = exporters
        self._rates = rates
        self._policy = policy
        self._methods = methods
        self._on_finding = partial(redactions.record, NO_ROUTE[1])
        self._request_metrics = request_metrics
        self._metric_exporters = metric_exporters
        self._recorder = recorder
        self._detected = resource.detect(environment)
        self._names = CardinalityLimit(lambda kind: metrics.add(NAMES_REFUSED, kind))
        self._shared = SharedTable()

    def build(self, key: bytes, config: bytes) -> Entry:
        """Return the entry of a configuration; register it with the rates, the metrics and the live page.

        Args:
            key: entry_identity.settings_key of the entry.
            config: JSON.

        Raises:
            ConfigError: for an invalid setting.
            ValueError: if it is no JSON object.
        """
        document = json.loads(config)
        if not isinstance(document, dict):
            raise ValueError("not a JSON object")
        settings = Settings.from_config(document)
        name = entry_name(document)
        redactor = shared_redactor(settings.redaction, settings.span.attributes)
        scope = entry_scope(document)
        destination = Destination.from_settings(settings, self._environment, self._detected)
        self._exporters.get(destination, scope)
        allowance = self._rates.configure(key, name, settings.sampling)
        if self._recorder is not None:
            self._recorder.configure(key, WhatIfRedaction.from_settings(settings, redactor))
        tracer = RequestTracer.from_settings(settings, os.urandom, allowance, self._policy)
        rules = SpanRules.from_settings(settings, self._methods, self._names, self._shared)
        left_out: list[str] = []
        for fault in rules.faults:
            setting = "span.name" if fault.field == "span.name" else "span.attributes"
            self._leave_out(left_out, setting, "this part of the spans is left out", fault)
        self._configure_metrics(key, settings, destination.address, rules, redactor, left_out=left_out)
        tail_rules, log = TailRules(settings.sampling.tail_rules), self._access_log(settings, scope, left_out)
        return Entry(
            name,
            scope,
            tracer,
            rules,
            settings.sampling.keep,
            tail_rules,
            redactor,
            destination,
            log,
            settings.metrics.enabled or tail_rules.reads_whole or (log is not None and log[0].wants_all),
            left_out,
        )

    def _access_log(
        self, settings: Settings, scope: tuple[str, str], left_out: list[str]
    ) -> tuple[AccessLog, Destination] | None:
        if settings.logs.requests == "none":
            return None
        try:
            body = Body(settings.logs.body, settings.span.attributes)
        except ConfigError as error:
            self._leave_out(left_out, "logs.body", "log records have no text", error)
            body = Body(None)
        try:
            destination = Destination.from_settings(settings, self._environment, self._detected, "logs")
        except ConfigError as error:
            self._leave_out(left_out, "logs", "no logs are sent for this entry", error)
            return None
        self._exporters.get(destination, scope)
        return AccessLog(settings.logs, body), destination

    def _configure_metrics(
        self,
        key: bytes,
        settings: Settings,
        traces: str,
        rules: SpanRules,
        redactor: Redactor,
        *,
        left_out: list[str],
    ) -> None:
        if not settings.metrics.enabled or self._metric_exporters is None:
            return

        def redact(attributes: Attributes) -> Attributes:
            return dict(redactor.redact_attributes(attributes, self._on_finding)[0])

        try:
            destination = Destination.from_settings(settings, self._environment, self._detected, "metrics")
        except ConfigError as error:
            self._leave_out(left_out, "metrics", "no metrics are sent for this entry", error)
            return
        table = self._metric_exporters.table(destination, settings.metrics, traces)
        self._request_metrics.configure(key, EntryMetrics(table, rules, redact, settings.metrics.attributes))

    def _leave_out(self, left_out: list[str], setting: str, consequence: str, error: object) -> None:
        left_out.append(f"{consequence}: {error}")
        _log.error("invalid configuration, %s: %s", consequence, error)
        self._metrics.add(SETTINGS_REFUSED, setting)
