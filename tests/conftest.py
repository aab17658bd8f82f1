"""Signals that the tests send to the processes they start."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Heed the signals that a test run under nohup, or in the background, was started to ignore.

    The started processes inherit an ignored signal, and a shell among them cannot take that back.
    """
    defaults = (
        (signal.SIGHUP, signal.SIG_DFL),
        (signal.SIGQUIT, signal.SIG_DFL),
        (signal.SIGINT, signal.default_int_handler),
    )
    for number, reaction in defaults:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, reaction)
