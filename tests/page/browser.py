"""The system's Chromium, and a page that reports its errors."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import Any

from playwright.sync_api import Browser, Page, Playwright, expect

# For things that the page does at once or every two seconds, on a machine that may stop for some seconds.
_PATIENCE_MS = 30_000
NO_CHROMIUM = "no Chromium here: `apt-get install chromium`, or name one with CHROMIUM=/path/to/chromium"


def chromium_path() -> str | None:
    """Return its path, or None if there is no Chromium."""
    named = os.environ.get("CHROMIUM")
    return named or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def launch(playwright: Playwright) -> Browser:
    """Start it, without a window."""
    expect.set_options(timeout=_PATIENCE_MS)
    # Chromium's own sandbox cannot be set up by root, nor in most containers; the pages are ours.
    return playwright.chromium.launch(executable_path=chromium_path(), args=["--no-sandbox"])


@contextlib.contextmanager
def opened(browser: Browser, **context: Any) -> Iterator[tuple[Page, list[str]]]:
    """Give an empty page, and the list of complaints of its console: violations of its policy too."""
    with contextlib.closing(browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **context})) as window:
        page = window.new_page()
        page.set_default_timeout(_PATIENCE_MS)
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text) if message.type != "log" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield page, complaints
