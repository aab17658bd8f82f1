"""Promises of check.py that no end-to-end test holds."""

from __future__ import annotations

from typing import Any

import pytest

from otlp_tracing.commands.check import faults_of, warnings_of


@pytest.mark.parametrize(
    ("load", "warns"),
    [
        ({}, False),
        ({"high": 0.8}, False),
        ({"high": 0.8, "low": 0.8}, True),
        ({"high": 0.2}, True),
        ({"low": 1}, False),
    ],
)
def test_bounds_of_the_load_that_cross_are_a_warning(load: dict[str, Any], warns: bool) -> None:
    """Kong takes them; rates would move up and down at once."""
    entry = {"config": {"sampling": {"load": load}}}

    assert [line.split(":")[0] for line in warnings_of(entry)] == ["sampling.load.low"] * warns
    assert faults_of(entry) == []
