"""Refusals of the demo, and signals that come early. Its course is run as a whole by `otlp-tracing demo`."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from otlp_tracing.cli import main
from otlp_tracing_devtools.demo.signals import STOP_SIGNALS, EarlySignals


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("requests", ["0", "-1", "many"])
def test_there_must_be_something_to_send(requests: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a request there is no trace to show."""
    assert main(["demo", f"--requests={requests}"]) == 2
    assert capsys.readouterr().err == f"otlp-tracing: --requests = {requests}: must be 1 to 1000000\n"


def test_a_disabled_sdk_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The services could not show their half of a trace; better said at once than found missing."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "True")

    assert main(["demo", "--exit"]) == 2
    assert "OTEL_SDK_DISABLED" in capsys.readouterr().err


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_an_early_signal_is_noted(number: signal.Signals) -> None:
    """It ends nothing by itself, and the first one counts."""
    early = EarlySignals()
    assert early.first is None

    os.kill(os.getpid(), number)
    os.kill(os.getpid(), signal.SIGTERM)

    assert early.first is number
