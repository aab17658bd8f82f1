"""Promises of config/settings.py."""

from __future__ import annotations

import pytest

from doubles import FROM_KONG
from otlp_tracing.config.settings import KeyValue, Sampling, SamplingRule, Settings
from otlp_tracing.errors import ConfigError


def test_what_kong_hands_over_is_read() -> None:
    """Kong's own additions are passed over, its empty tables are empty lists, the rest is typed."""
    settings = Settings.from_config(FROM_KONG)

    assert settings.endpoint == "https://collector:4317"
    assert settings.headers == ()
    assert settings.resource_attributes == (KeyValue("service.name", "edge"),)
    assert (settings.sampling.rate, settings.sampling.parent) == (0.25, "ignore")
    assert settings.batch_export.timeout == 5000


def test_every_fault_is_told() -> None:
    """A configuration that cannot work is refused with all its faults."""
    with pytest.raises(ConfigError) as refused:
        Settings.from_config({"endpoint": "collector:4317", "sampling": {"rate": 2}})

    assert [fault.field for fault in refused.value.faults] == ["endpoint", "sampling.rate"]


def test_moving_rates_are_read() -> None:
    """A budget, or a bound on the load, makes rates move; neither is the default."""
    moving = [{"budget": {"traces_per_second": 5}}, {"load": {"high": 0.8}}]

    assert [Settings.from_config({"sampling": one}).sampling.moves for one in moving] == [True, True]
    assert not Settings.from_config({"sampling": {"load": {"low": 0.2}}}).sampling.moves
    assert Settings.from_config({}).sampling.streams == {"": 1.0}


def test_a_budgets_streams_are_bounded() -> None:
    """Rules of one name are one stream, at the highest of their rates; past 64 they are part of the entry's own."""
    rules = [SamplingRule(name, (), (), (), (), rate) for name, rate in (("a", 0.1), ("b", 0.2), ("a", 0.5))]
    many = [SamplingRule(str(number), (), (), (), (), 1.0) for number in range(100)]

    assert Sampling(1.0, "follow", tuple(rules)).streams == {"": 1.0, "a": 0.5, "b": 0.2}
    assert len(Sampling(1.0, "follow", tuple(many)).streams) == 64


def test_defaults_are_declared_once() -> None:
    """Settings that code makes without a value are the settings of an entry without a value."""
    assert Settings.from_config({}) == Settings()


def test_propagation_is_read() -> None:
    """Names of formats and headers as they were written, lists as tuples."""
    settings = Settings.from_config(
        {"propagation": {"inject": ["w3c", "b3-single"], "clear": ["X-A"], "incoming": "ignore"},
         "capture": {"baggage": ["tenant"]}}
    )  # fmt: skip

    assert settings.propagation.inject == ("w3c", "b3-single")
    assert settings.propagation.clear == ("X-A",)
    assert settings.propagation.incoming == "ignore"
    assert settings.capture.baggage == ("tenant",)


def test_the_host_header_cannot_be_cleared() -> None:
    """Kong would answer every request with a 500."""
    with pytest.raises(ConfigError) as refused:
        Settings.from_config({"propagation": {"clear": ["x-a", "Host"]}})

    assert [fault.field for fault in refused.value.faults] == ["propagation.clear[2]"]
