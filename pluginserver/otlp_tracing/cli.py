"""The command `otlp-tracing`: reads options, wires the parts, turns what goes wrong into a sentence.

Each command imports what it runs when it runs, so that `serve` listens before anything slow is loaded,
and a process of the plugin server never loads what only the sidecar needs.

Exit codes: 0 done, 1 anything unforeseen, 2 bad usage or configuration.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from otlp_tracing import __version__
from otlp_tracing.errors import ConfigError
from otlp_tracing.paths import form

__all__ = ["main"]

_PREFIX = "OTLP_TRACING_"
_SPOOL_HELP = "folder where spans wait until they are delivered; auto is beside the sidecar's socket, none is memory"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        stream=sys.stderr,
        level=options.log_level.upper(),
        format="%(levelname)s %(name)s: %(message)s",
    )
    try:
        return int(options.run(options) or 0)
    except ConfigError as error:
        for fault in error.faults:
            print(f"otlp-tracing: {fault}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python would complain again when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="otlp-tracing",
        description="OpenTelemetry tracing for Kong Gateway.",
        epilog="Every option can be given as an environment variable too: --http as OTLP_TRACING_HTTP, "
        "--kong-prefix as OTLP_TRACING_KONG_PREFIX. nginx empties the environment of what Kong starts: put variables "
        "into the start command, `env OTLP_TRACING_HTTP=… otlp-tracing serve`, or into Kong's nginx_main_env.",
    )
    parser.add_argument("--version", action="version", version=f"otlp-tracing {__version__} ({form()})")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_serve(commands)
    _add_dump(commands)
    _add_sidecar(commands)
    _add_status(commands)
    _add_probe(commands)
    _add_check(commands)
    _add_demo(commands)
    _add_worker(commands)
    return parser


def _add_serve(commands: Any) -> None:
    command = _command(commands, "serve", _serve, "run Kong's plugin server, with a sidecar beside it")
    _socket_options(command)
    _option(command, "--plugins", "folder of otlp-tracing.py", None, "DIR")
    _option(
        command,
        "--sidecar",
        "embedded starts one and keeps it alive; else the socket of one that runs already",
        "embedded",
        "embedded|PATH",
    )
    _option(command, "--spool", _SPOOL_HELP, "auto", "auto|DIR|none")
    _option(command, "--workers", "processes that serve; auto is one a core, as Kong has workers", "auto", "auto|N")
    _sidecar_options(command)


def _add_dump(commands: Any) -> None:
    command = _command(commands, "dump", _dump, "print the plugin's description for Kong's pluginserver_*_query_cmd")
    _option(command, "--plugins", "folder of otlp-tracing.py", None, "DIR")
    _option(
        command,
        "--protocol",
        "what Kong is to speak: msgpack never fails a request, protobuf costs Kong less; serve answers both",
        "msgpack",
        "msgpack|protobuf",
        choices=("msgpack", "protobuf"),
    )


def _add_sidecar(commands: Any) -> None:
    command = _command(commands, "sidecar", _sidecar, "run the sidecar on its own")
    _option(
        command, "--listen", "unix socket to take records at", Path("/usr/local/kong/otlp-tracing/sidecar.sock"), "PATH"
    )
    _option(command, "--spool", _SPOOL_HELP, "auto", "auto|DIR|none")
    command.add_argument("--embedded", action="store_true", help=argparse.SUPPRESS)
    _sidecar_options(command)


def _add_status(commands: Any) -> None:
    command = _command(commands, "status", _status, "show what waits for every collector, since when and why")
    _option(command, "--http", "the sidecar's address", "127.0.0.1:9464", "ADDRESS:PORT")
    _option(command, "--page-token-file", "file with its page's token; or OTLP_TRACING_PAGE_TOKEN", "", "PATH")
    command.add_argument("--json", action="store_true", help="for a program; exit code 1 unless all is well")


def _add_probe(commands: Any) -> None:
    command = _command(commands, "probe", _probe, "ask whether a running process answers; exit 1 if not")
    command.add_argument("process", choices=("plugin-server", "sidecar"), nargs="?", default="plugin-server")
    _socket_options(command)
    _sidecar_options(command)
    _option(command, "--wait", "how long to ask again until there is an answer", 0.0, "SECONDS")


def _add_check(commands: Any) -> None:
    command = _command(commands, "check", _check, "find every fault of the otlp-tracing entries in a kong.yml")
    command.add_argument("file", type=Path, metavar="KONG_YML", nargs="?")
    command.add_argument(
        "--from",
        dest="bundled",
        type=Path,
        metavar="KONG_YML",
        help="write what to put instead of the file's opentelemetry and zipkin entries, as YAML",
    )
    command.add_argument(
        "--redaction",
        type=Path,
        metavar="SAMPLES",
        help="show what the file's entries, or the defaults, redact of sample requests (.yml, .json or HTTP)",
    )


def _add_demo(commands: Any) -> None:
    command = _command(commands, "demo", _demo, "show traces through a gateway and two services, on this machine alone")
    _option(command, "--requests", "requests to send", 20, "N")
    command.add_argument("--exit", action="store_true", help="end after the last request instead of waiting for Ctrl-C")


def _add_worker(commands: Any) -> None:
    command = _command(commands, "worker", _worker, argparse.SUPPRESS)
    for name in ("--inherited", "--socket", "--bound", "--kong", "--plugins"):
        command.add_argument(name, required=True)


def _socket_options(command: argparse.ArgumentParser) -> None:
    _option(command, "--kong-prefix", "Kong's prefix; the socket goes there", Path("/usr/local/kong"), "DIR")
    _option(command, "--socket-name", "name of the socket in the prefix", "otlp-tracing.socket", "NAME")


def _sidecar_options(command: argparse.ArgumentParser) -> None:
    _option(
        command, "--http", "address of the live page, /healthz, /readyz and /metrics", "127.0.0.1:9464", "ADDRESS:PORT"
    )
    _option(
        command,
        "--page",
        "the live page: off, on, or auto, which is on where only this machine reaches it or a token is asked for",
        "auto",
        "auto|on|off",
    )
    _option(
        command,
        "--page-token-file",
        "file with a token that the page asks for; or the token itself as OTLP_TRACING_PAGE_TOKEN",
        "",
        "PATH",
    )
    _option(command, "--page-hosts", "names, beside localhost, that the page may be asked for by", "", "NAME,…")
    _option(command, "--trace-url", "where your backend shows a trace: http://jaeger/trace/{trace_id}", "", "URL")


def _command(commands: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    shown = {} if text is argparse.SUPPRESS else {"help": text}
    command: argparse.ArgumentParser = commands.add_parser(name, description=None if not shown else text, **shown)
    command.set_defaults(run=run)
    _option(command, "--log-level", "debug, info, warning or error", "info", "LEVEL")
    return command


def _option(command: argparse.ArgumentParser, name: str, text: str, default: Any, metavar: str, **rules: Any) -> None:
    variable = _PREFIX + name.removeprefix("--").replace("-", "_").upper()
    kind = str if default is None else type(default)
    kind = Path if isinstance(default, Path) else kind
    shown = "" if default in {None, ""} else f" (default {default})"
    command.add_argument(
        name,
        type=kind,
        default=os.environ.get(variable, default),
        metavar=metavar,
        **rules,
        help=f"{text}{shown}",
    )


def _serve(options: argparse.Namespace) -> None:
    from otlp_tracing.commands.serve import GroupOptions, run_group
    from otlp_tracing.paths import command_line, plugin_folder
    from otlp_tracing.plugin.names import HOSTED_VARIABLE, SIDECAR_SOCKET_VARIABLE

    embedded = options.sidecar == "embedded"
    socket = options.kong_prefix / "otlp-tracing" / "sidecar.sock" if embedded else Path(options.sidecar)
    level = ["--log-level", options.log_level]
    page = _passed_on(options, "http", "spool", "page", "page_token_file", "page_hosts", "trace_url")
    sidecar = command_line("sidecar", "--embedded", "--listen", str(socket), *page, *level)
    run_group(
        GroupOptions(
            socket=options.kong_prefix / options.socket_name,
            workers=_workers(options.workers),
            plugins=Path(options.plugins) if options.plugins else plugin_folder(),
            environment={SIDECAR_SOCKET_VARIABLE: str(socket), HOSTED_VARIABLE: "1"},
            sidecar=sidecar if embedded else None,
            log_level=options.log_level,
        )
    )


def _passed_on(options: argparse.Namespace, *names: str) -> list[str]:
    # As one word each, so that an empty value, or one that begins with a dash, stays a value.
    return [f"--{name.replace('_', '-')}={getattr(options, name)}" for name in names]


def _workers(text: str) -> int:
    from otlp_tracing.errors import Fault

    if text == "auto":
        return min(len(os.sched_getaffinity(0)), 64)
    if not text.isdecimal():
        raise ConfigError([Fault("--workers", text, "must be auto or 1 to 64")])
    return int(text)


def _worker(options: argparse.Namespace) -> None:
    from otlp_tracing.commands.serve import Inherited
    from otlp_tracing.commands.worker import WorkerOptions, run_worker

    device, _, inode = options.bound.partition(":")
    run_worker(
        WorkerOptions(
            inherited=Inherited.parse(options.inherited),
            socket=Path(options.socket),
            bound=(int(device), int(inode)),
            kong=int(options.kong),
            plugins=Path(options.plugins),
        )
    )


def _dump(options: argparse.Namespace) -> None:
    import json

    from otlp_tracing.kong_server.loader import describe, load
    from otlp_tracing.paths import PLUGIN_FILE, plugin_folder

    folder = Path(options.plugins) if options.plugins else plugin_folder()
    json.dump(describe(load(folder / PLUGIN_FILE), options.protocol), sys.stdout)


def _sidecar(options: argparse.Namespace) -> None:
    import asyncio

    from otlp_tracing.sidecar.live.http.options import page_options
    from otlp_tracing.sidecar.service import SidecarOptions, run

    host, port = _address(options.http)
    page = page_options(
        options.page,
        host,
        os.environ,
        token_file=options.page_token_file,
        hosts=options.page_hosts,
        trace_url=options.trace_url,
    )
    spool = options.listen.parent / "spool" if options.spool == "auto" else Path(options.spool)
    asyncio.run(
        run(
            SidecarOptions(
                options.listen, host, port, None if options.spool == "none" else spool, options.embedded, page
            )
        )
    )


def _status(options: argparse.Namespace) -> int:
    from otlp_tracing.commands.status import status
    from otlp_tracing.sidecar.live.http.options import read_token

    host, port = _address(options.http)
    token = read_token(os.environ, options.page_token_file)
    return status(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", as_json=options.json, token=token)


def _probe(options: argparse.Namespace) -> int:
    from otlp_tracing.commands import probe

    if options.process == "sidecar":
        host, port = _address(options.http)
        reason = probe.wait_for_answer(lambda: probe.ask_sidecar(host, port), options.wait)
        asked = f"{host}:{port}"
    else:
        path = options.kong_prefix / options.socket_name
        reason = probe.wait_for_answer(lambda: probe.ask_plugin_server(path), options.wait)
        asked = str(path)
    if reason is None:
        return 0
    print(f"otlp-tracing: no answer from the {options.process} at {asked}: {reason}", file=sys.stderr)
    return 1


def _check(options: argparse.Namespace) -> int:
    from otlp_tracing.commands.check import check, convert
    from otlp_tracing.errors import Fault

    if options.redaction is not None:
        from otlp_tracing.commands.preview import show

        return show(options.redaction, options.file)
    if (options.file is None) == (options.bundled is None):
        raise ConfigError([Fault("check", "", "takes a kong.yml to check, or --from and one to convert")])
    return convert(options.bundled) if options.file is None else check(options.file)


def _demo(options: argparse.Namespace) -> int:
    from otlp_tracing_devtools.demo import run

    return run(requests=options.requests, leave=options.exit)


def _address(text: str) -> tuple[str, int]:
    from otlp_tracing.errors import Fault

    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or not 0 <= int(port) <= 65_535:
        raise ConfigError([Fault("--http", text, "must be ADDRESS:PORT, such as 127.0.0.1:9464")])
    return host.strip("[]") or "127.0.0.1", int(port)
