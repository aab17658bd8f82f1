"""Runs one detector, with the decoding of the scan around it."""

from __future__ import annotations

from otlp_tracing.config.sensitive_names import SensitiveNames
from otlp_tracing.config.settings import Settings
from otlp_tracing.sidecar.redaction.cost import CostBudget
from otlp_tracing.sidecar.redaction.detectors import CONTENT_DETECTORS
from otlp_tracing.sidecar.redaction.detectors.assigned_secret import AssignedSecret
from otlp_tracing.sidecar.redaction.detectors.credentials import Userinfo
from otlp_tracing.sidecar.redaction.scan.finding import Detector
from otlp_tracing.sidecar.redaction.scan.overlaps import merge_overlaps
from otlp_tracing.sidecar.redaction.scan.patterns import Patterns
from otlp_tracing.sidecar.redaction.scan.scan import Scan

NAMES = SensitiveNames.from_settings(Settings.from_config({}).redaction)


def detector(rule: str) -> Detector:
    special: dict[str, Detector] = {"userinfo": Userinfo(), "sensitive_key": AssignedSecret(NAMES)}
    return special[rule] if rule in special else CONTENT_DETECTORS[rule]()


def found(rule: str, text: str) -> list[str]:
    findings = Scan([detector(rule)], Patterns([])).find([text], CostBudget()).get(0, [])
    return [text[one.start : one.end] for one in merge_overlaps(findings)]
