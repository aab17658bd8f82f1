"""The files for the Prometheus Operator have the same jobs and rules as the static files."""

from __future__ import annotations

import os
from typing import Any

import yaml

from checkout import CHECKOUT

PROMETHEUS = CHECKOUT / "kong" / "prometheus"
OPERATOR = PROMETHEUS / "operator"
RULE = OPERATOR / "prometheusrule.yaml"
HEAD = """\
# Made from ../rules by `UPDATE_DOCS=1 make ship`. Label it as the `ruleSelector` of your Prometheus wants.
"""


def rules() -> dict[str, Any]:
    """Return the PrometheusRule with the groups of all rule files."""
    files = [(path.stem, yaml.safe_load(path.read_text())) for path in sorted((PROMETHEUS / "rules").glob("*.yml"))]
    groups = [{**group, "name": f"{stem}-{group['name']}"} for stem, file in files for group in file["groups"]]
    metadata = {"name": "kong", "namespace": "kong"}
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": metadata,
        "spec": {"groups": groups},
    }


def test_the_rules_are_those_of_the_static_files() -> None:
    """An alert is the same wherever Prometheus runs."""
    if os.environ.get("UPDATE_DOCS"):
        RULE.write_text(HEAD + yaml.safe_dump(rules(), sort_keys=False, width=200))

    assert yaml.safe_load(RULE.read_text()) == rules()


def test_the_jobs_are_those_of_the_static_file() -> None:
    """The alerts name jobs, so each port has the name of its job, and the pods are found by the same label."""
    monitor = yaml.safe_load((OPERATOR / "podmonitor.yaml").read_text())
    static = yaml.safe_load((PROMETHEUS / "kubernetes.yml").read_text())["scrape_configs"]
    jobs = {job["job_name"]: job["relabel_configs"][0]["regex"] for job in static if "kubernetes_sd_configs" in job}
    (label,) = (f"{name}={value}" for name, value in monitor["spec"]["selector"]["matchLabels"].items())

    assert {one["relabelings"][0]["replacement"]: one["port"] for one in monitor["spec"]["podMetricsEndpoints"]} == jobs
    assert static[0]["kubernetes_sd_configs"][0]["selectors"] == [{"role": "pod", "label": label}]
