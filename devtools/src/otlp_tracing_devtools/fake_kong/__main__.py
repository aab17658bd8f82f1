"""`python -m otlp_tracing_devtools.fake_kong KONG_YML …`: run the stand-in Kong until SIGTERM, SIGINT or SIGQUIT.

Prints one line with its URL when it is ready. Exit codes: 0 ended by a signal, 2 a wrong option or file.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

from otlp_tracing.errors import TracingError
from otlp_tracing_devtools.fake_kong.gateway import FakeKong
from otlp_tracing_devtools.fake_kong.plugin_description import PluginServerCommands
from otlp_tracing_devtools.fake_kong.plugin_process import OUTPUT
from otlp_tracing_devtools.fake_kong.version import NEWEST, Version, parse_version


def main(arguments: list[str] | None = None) -> int:
    """Run the gateway; give the exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if options.log_level == "notice":
        OUTPUT.setLevel(logging.WARNING)
    try:
        asyncio.run(_run(options))
    except TracingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m otlp_tracing_devtools.fake_kong",
        description="A stand-in Kong, for demos and tests.",
    )
    parser.add_argument("kong_yml", type=Path, help="a declarative configuration, format 3.0")
    parser.add_argument("--listen", type=_address, default=("127.0.0.1", 8000), metavar="HOST:PORT")
    parser.add_argument("--status-listen", type=_address, metavar="HOST:PORT", help="serves /metrics and /status")
    parser.add_argument("--prefix", type=Path, default=Path("/usr/local/kong"), metavar="DIR")
    parser.add_argument("--plugin-server-name", default="otlp-tracing", metavar="NAME")
    parser.add_argument("--plugin-server-socket", type=Path, metavar="PATH", help="default: PREFIX/NAME.socket")
    parser.add_argument("--query-cmd", metavar="COMMAND", help="prints the plugin server's dump")
    parser.add_argument("--start-cmd", metavar="COMMAND", help="starts the plugin server")
    parser.add_argument(
        "--main-env", default="", metavar="NAMES", help="variables for the start command, as Kong's nginx_main_env"
    )
    parser.add_argument(
        "--also-server",
        nargs=3,
        action="append",
        default=[],
        metavar=("NAME", "QUERY_CMD", "START_CMD"),
        help="another plugin server, with the socket PREFIX/NAME.socket",
    )
    parser.add_argument("--kong", type=_version, default=NEWEST, metavar="VERSION", help="3.4 or 3.9; default: 3.9")
    parser.add_argument(
        "--log-level", choices=("notice", "info"), default="notice", help="info: with the output of plugin servers"
    )
    parser.add_argument("--read-timeout", type=float, default=60.0, metavar="SECONDS")
    return parser


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def _version(text: str) -> Version:
    try:
        return parse_version(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error}") from None


def _plugin_servers(options: argparse.Namespace) -> list[PluginServerCommands]:
    if options.query_cmd is None:
        return []
    name = options.plugin_server_name
    socket = options.plugin_server_socket or options.prefix / f"{name}.socket"
    names = options.main_env.split("; env ")
    environment = {name: value for name, value in os.environ.items() if name in names}
    servers = [PluginServerCommands(name, socket, options.query_cmd, options.start_cmd, environment)]
    for other, query, start in options.also_server:
        servers.append(PluginServerCommands(other, options.prefix / f"{other}.socket", query, start))
    return servers


async def _run(options: argparse.Namespace) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    gateway = FakeKong(
        options.kong_yml,
        _plugin_servers(options),
        options.listen,
        status_listen=options.status_listen,
        read_timeout_s=options.read_timeout,
        version=options.kong,
    )
    async with gateway:
        print(gateway.url, flush=True)
        await ended.wait()


if __name__ == "__main__":
    raise SystemExit(main())
