"""`python -m tests.bench.page`: the cost of the live page for the sidecar, and its behaviour at 2,000 requests/s.

Three sidecars run side by side and take turns: one without a page, one with a closed page, and one with an open page.
A client plays the open page: it reads the stream and asks for the figures by route. Records are sent as the plugin
server sends them. CPU time a record is compared, because it is steadier than the clock. All three are restarted
several times: the place of a process in memory, and its hash seeds, change as many per cent as the page costs. With a
Chromium here, a real page is then opened and used while 2,000 requests come each second.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import itertools
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # as pytest's pythonpath has it

from playwright.sync_api import sync_playwright

from bench.document import BENCHMARKS, replace
from bench.measurement import CpuMeter
from bench.report import circumstances
from bench.sink import running_sink
from e2e.ports import HOST, accepts, free_port
from e2e.waiting import wait_for
from load.traffic import config, log_record
from otlp_tracing.context import RequestContext
from otlp_tracing.handoff.frames import VERSION, Ack, Config, Decoder, Hello, Record, encode
from otlp_tracing.paths import command_line
from page.browser import chromium_path, launch, opened

SUBJECTS = {"no page": "off", "page, closed": "on", "page, open": "on"}
RATE = 2_000.0
_KEY = bytes(16)
_WINDOW = 1024  # records that are not acknowledged yet; the plugin server allows megabytes
# The browser tells of every task that kept the page's thread for more than 50 ms.
_WATCH_TASKS = """
window.tasks = [];
new PerformanceObserver(list => tasks.push(...list.getEntries().map(entry => entry.duration)))
    .observe({type: 'longtask'})
"""


@dataclass(frozen=True)
class Sidecar:
    """A sidecar that runs on its own."""

    name: str
    pid: int
    socket: Path
    port: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.page", description=__doc__)
    parser.add_argument("--starts", type=int, default=4, help="of all sidecars")
    parser.add_argument("--rounds", type=int, default=4, help="with each start")
    parser.add_argument("--seconds", type=float, default=1.0, help="of load on each sidecar in each round")
    parser.add_argument("--no-browser", dest="browser", action="store_false", help="leave the real page out")
    parser.add_argument("--docs", action="store_true", help="write the results into docs/benchmarks.md too")
    options = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-page-")))
        endpoint = stack.enter_context(running_sink())
        full: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        steady: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        for number in range(options.starts):
            with running_sidecars(folder / str(number)) as sidecars:
                # Open all the time, as a page is: the first second of a client costs more than the later ones.
                with looking(sidecars[2]):
                    for figures, rate in ((full, None), (steady, RATE)):
                        for name, found in rounds(sidecars, endpoint, options.rounds, options.seconds, rate).items():
                            figures[name] += found
                last = number == options.starts - 1
                used = in_the_browser(sidecars[1], endpoint) if last and options.browser and chromium_path() else None
    text = "\n".join(lines(full, steady, used))
    print(text)
    if options.docs:
        replace(BENCHMARKS, "page", text)
    return 0


@contextlib.contextmanager
def running_sidecars(folder: Path) -> Iterator[list[Sidecar]]:
    """Run one of each subject."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(running_sidecar(name, mode, folder)) for name, mode in SUBJECTS.items()]


@contextlib.contextmanager
def running_sidecar(name: str, mode: str, folder: Path) -> Iterator[Sidecar]:
    """Run one with a socket and a spool of its own."""
    port, home = free_port(), folder / name.replace(" ", "-").replace(",", "")
    home.mkdir(mode=0o700, parents=True)
    options = ("--listen", str(home / "sock"), "--spool", str(home / "spool"), "--http", f"{HOST}:{port}")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OTLP_TRACING_"))}
    command = command_line("sidecar", *options, "--page", mode, "--log-level", "error")
    process = subprocess.Popen(command, env=environment)
    try:
        wait_for(lambda: accepts((HOST, port)), 20, f"{name} answers")
        yield Sidecar(name, process.pid, home / "sock", port)
    finally:
        process.terminate()
        process.wait()


Figures = Mapping[str, Sequence[tuple[float, float]]]


def rounds(sidecars: Sequence[Sidecar], endpoint: str, count: int, seconds: float, rate: float | None) -> Figures:
    """Return records/s and CPU microseconds a record of each sidecar, round by round; the first is not counted."""
    found: dict[str, list[tuple[float, float]]] = {one.name: [] for one in sidecars}
    for number in range(count + 1):
        for one in random.Random(number).sample(sidecars, len(sidecars)):
            cpu, began = CpuMeter([one.pid]), time.monotonic()
            taken = feed(one.socket, endpoint, seconds, rate)
            figures = taken / (time.monotonic() - began), cpu.microseconds(taken) or 0.0
            if number:
                found[one.name].append(figures)
    return found


def feed(path: Path, endpoint: str, seconds: float, rate: float | None) -> int:
    """Hand records over for so long, as fast as they are acknowledged or so many a second; return how many."""
    records, decoder = itertools.cycle(_records()), Decoder()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(encode(Hello(VERSION, os.urandom(8))) + encode(Config(_KEY, config(endpoint).encode())))
        sent = acknowledged = 0
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            due = int(passed * rate) - sent if rate else 64
            if due > 0 and sent - acknowledged < _WINDOW:
                connection.sendall(b"".join(encode(Record(sent + n + 1, _KEY, next(records))) for n in range(due)))
                sent += due
            elif rate:
                time.sleep(0.005)
            if sent - acknowledged >= _WINDOW or rate:
                acknowledged = max(acknowledged, _acknowledged(connection, decoder, wait=not rate))
        while acknowledged < sent:
            acknowledged = max(acknowledged, _acknowledged(connection, decoder, wait=True))
    return sent


def _acknowledged(connection: socket.socket, decoder: Decoder, *, wait: bool) -> int:
    with contextlib.suppress(BlockingIOError):
        data = connection.recv(1 << 16, 0 if wait else socket.MSG_DONTWAIT)
        return max((frame.number for frame in decoder.feed(data) if isinstance(frame, Ack)), default=0)
    return 0


def _records() -> list[bytes]:
    chance = random.Random(1)

    def one() -> bytes:
        ids = chance.randbytes(16), chance.randbytes(8), chance.randbytes(8)
        return log_record(RequestContext(*ids, None, 3, "ot=th:0", decided_by="rate").to_log_field()).encode()

    return [one() for _ in range(512)]


@contextlib.contextmanager
def looking(sidecar: Sidecar) -> Iterator[None]:
    """Request everything that an open page requests, and discard it."""
    done = threading.Event()
    stream = http.client.HTTPConnection(HOST, sidecar.port, timeout=30)
    stream.request("GET", "/events")
    answer = stream.getresponse()

    def read() -> None:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            while not done.is_set() and answer.read1(1 << 16):
                pass

    def ask() -> None:
        while not done.wait(2.0):
            for path in ("/routes", "/sampling"):
                other = http.client.HTTPConnection(HOST, sidecar.port, timeout=30)
                other.request("GET", path)
                other.getresponse().read()
                other.close()

    threads = [threading.Thread(target=work, daemon=True) for work in (read, ask)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join(10)
        stream.close()


def in_the_browser(sidecar: Sidecar, endpoint: str) -> Mapping[str, Any]:
    """Use the page while 2,000 requests come each second: look, search, open traces."""
    feeding = threading.Thread(target=feed, args=(sidecar.socket, endpoint, 25.0, RATE))
    opened_ms, searched_ms = [], []
    with sync_playwright() as playwright:
        browser = launch(playwright)
        with opened(browser) as (page, _):
            page.goto(f"http://{HOST}:{sidecar.port}")
            feeding.start()
            page.wait_for_selector(".trace")
            page.evaluate(_WATCH_TASKS)
            page.wait_for_timeout(8_000)
            for _ in range(5):
                began = time.monotonic()
                page.locator(".trace").nth(3).click()
                page.wait_for_selector(".waterfall")
                opened_ms.append((time.monotonic() - began) * 1000)
                page.keyboard.press("Escape")
                began = time.monotonic()
                page.get_by_role("searchbox").fill("nothing has this")
                page.get_by_text("No trace matches").wait_for()
                searched_ms.append((time.monotonic() - began) * 1000)
                page.get_by_role("searchbox").fill("")
            tasks = page.evaluate("tasks")
            state = page.locator("#state").inner_text()
            rows = page.locator(".trace").count()
        browser.close()
    feeding.join()
    return {
        "state": state,
        "rows": rows,
        "open_ms": statistics.median(opened_ms),
        "search_ms": statistics.median(searched_ms),
        "longest_task_ms": max(tasks, default=0.0),
        "long_tasks": len(tasks),
    }


def lines(full: Figures, steady: Figures, used: Mapping[str, Any] | None) -> Iterator[str]:
    """Write the results as Markdown."""
    known = circumstances()
    taken = len(next(iter(full.values())))
    yield f"Medians of {taken} rounds, on {known['cores']} cores ({known['cpu']})."
    yield f"{known['date']}, commit {known['commit']}."
    yield ""
    yield "| | records/s | CPU µs a record | share more | at 2,000/s: CPU µs a record | share more |"
    yield "|---|--:|--:|--:|--:|--:|"
    for name in full:
        fast, slow = full[name], steady[name]
        yield (
            f"| {name} | {statistics.median(one[0] for one in fast):,.0f} "
            f"| {statistics.median(one[1] for one in fast):.0f} | {_more(full, name)} "
            f"| {statistics.median(one[1] for one in slow):.0f} | {_more(steady, name)} |"
        )
    if used:
        yield ""
        yield (
            f"In Chromium at 2,000 requests/s ({used['state']}), with {used['rows']} rows: a trace opens in "
            f"{used['open_ms']:.0f} ms, a search is drawn in {used['search_ms']:.0f} ms. The longest task of "
            f"the page's thread took {used['longest_task_ms']:.0f} ms ({used['long_tasks']} over 50 ms in 12 s)."
        )


def _more(figures: Figures, name: str) -> str:
    """Compare round by round, so that a slow round affects both sides."""
    base = figures["no page"]
    ratios = [one[1] / other[1] for one, other in zip(figures[name], base, strict=True)]
    return "" if figures[name] is base else f"{100 * (statistics.median(ratios) - 1):+.1f} %"


if __name__ == "__main__":
    sys.exit(main())
