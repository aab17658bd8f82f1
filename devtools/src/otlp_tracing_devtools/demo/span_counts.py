"""The sidecar's counts of spans, in the text of its /metrics."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

_NAMES = ("received", "exported", "dropped")


def span_counts(metrics: str) -> dict[str, int]:
    """Return the spans received, exported and dropped, each over all labels.

    Args:
        metrics: the text.
    """
    totals = dict.fromkeys(_NAMES, 0.0)
    for family in text_string_to_metric_families(metrics):
        name = family.name.removeprefix("otlp_tracing_spans_")
        if name in totals:
            totals[name] += sum(sample.value for sample in family.samples if sample.name.endswith("_total"))
    return {name: int(total) for name, total in totals.items()}


def are_settled(counts: Mapping[str, int]) -> bool:
    """Tell whether no span is on its way any more."""
    return counts["received"] == counts["exported"] + counts["dropped"]
