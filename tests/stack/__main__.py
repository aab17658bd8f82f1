"""`python -m tests.stack`: the whole stack on this machine, with traffic, until Ctrl-C.

Exit codes: 0 ended by Ctrl-C or SIGTERM, 2 a program is missing.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from e2e.gateways import RealKong, RunningGateway, StandIn
from stack.programs import ProgramMissing
from stack.stage import Stage, stage

_PAGES = {
    "the gateway": "",
    "its spans, in Jaeger": "jaeger:16686",
    "its figures, in Prometheus": "prometheus:9090",
    "alerts, in Alertmanager": "alertmanager:9093",
}
_TRAFFIC = ("/api/users/1", "/api/users/2", "/api/orders?user=1", "/api/users/3", "/api/users/9", "/nowhere")
_INTERVAL_SECONDS = 0.5


def main() -> int:
    """Run the stack."""
    options = _parser().parse_args()
    if options.kong is not None:
        RealKong.use(options.kong.resolve())
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    print("starting Jaeger, the Collector, the services, the gateway, Prometheus and Alertmanager …", flush=True)
    with tempfile.TemporaryDirectory(prefix="otlp-tracing-stack-") as folder:

        @contextlib.contextmanager
        def start_gateway(declaration: Mapping[str, Any]) -> Iterator[RunningGateway]:
            home = Path(folder, "gateway")
            home.mkdir()
            with (StandIn if options.kong is None else RealKong)(home, declaration) as gateway:
                yield gateway

        try:
            with stage(Path(folder), start_gateway) as running:
                _show(running)
                for target in itertools.cycle(_TRAFFIC):
                    running.gateway.get(target)
                    if stop.wait(_INTERVAL_SECONDS):
                        break
        except ProgramMissing as reason:
            print(f"stack: {reason}", file=sys.stderr)
            return 2
    return 0


def _show(running: Stage) -> None:
    for name, part in _PAGES.items():
        print(f"  {name:28} {running.url(part) if part else running.gateway.url}")
    print(f"  {'what traces it':28} {running.gateway.sidecar_url}")
    print("Two requests a second go through it. Ctrl-C ends it.", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make stack",
        description="Gateway, services, Collector, Jaeger, Prometheus, Alertmanager on this machine, without Docker.",
    )
    parser.add_argument("--kong", type=Path, metavar="PATH", help="a real Kong's `kong` command, for the stand-in")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
