"""A Kong Gateway to measure: no database, one nginx worker, one tracing plugin or none, and no log lines."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from bench.plugin_servers import SOCKET_NAME
from e2e.client import fetch
from e2e.ports import HOST, accepts, free_port
from e2e.processes import descendants
from e2e.waiting import wait_for

PLUGIN = "otlp-tracing"
_START_SECONDS = 60.0


@dataclass(frozen=True)
class Commands:
    """Of a plugin server, as kong.conf has them."""

    query: Sequence[str]
    start: Sequence[str]


class Kong:
    """A running Kong. Use it with `with`.

    Args:
        command: the `kong` command.
        prefix: an empty folder.
        declaration: its kong.yml.
        server: a plugin server's commands, if it has one.
        settings: added to its kong.conf.
    """

    def __init__(
        self,
        command: Path,
        prefix: Path,
        declaration: Mapping[str, Any],
        server: Commands | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self._command = command
        self.prefix = prefix
        self._server = server
        self.port, self._status_port = free_port(), free_port()
        (prefix / "kong.yml").write_text(yaml.safe_dump(dict(declaration)))
        conf = {**self._configuration(), **(settings or {})}
        (prefix / "bench.conf").write_text("".join(f"{name} = {value}\n" for name, value in conf.items()))

    def pids(self, kind: str) -> list[int]:
        """Return the pids of nginx's workers, of the plugin server (`server`), of its workers, or of its sidecar."""
        family = descendants(int((self.prefix / "pids" / "nginx.pid").read_text()))
        if kind == "worker":
            return [process.pid for process in family if process.role == "worker"]
        kinds: dict[str, list[int]] = {"nginx": [], "sidecar": [], "server": []}
        for process in family:
            other = "sidecar" if process.role == "sidecar" else "server"
            kinds["nginx" if process.command[0].startswith("nginx:") else other].append(process.pid)
        return kinds[kind]

    def __enter__(self) -> Kong:
        self._run("start", "-c", str(self.prefix / "bench.conf"))
        try:
            wait_for(self._is_ready, _START_SECONDS, "Kong is ready")
            if self._server:
                wait_for(lambda: accepts(str(self.prefix / SOCKET_NAME)), _START_SECONDS, "the plugin server accepts")
        except BaseException:
            self._run("stop", "-p", str(self.prefix))
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._run("stop", "-p", str(self.prefix))

    def _is_ready(self) -> bool:
        try:
            return fetch(f"http://{HOST}:{self._status_port}", "/status/ready").status == 200
        except (OSError, IndexError):
            return False

    def _run(self, *arguments: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("KONG_", "OTLP_"))}
        with tempfile.TemporaryFile() as said:
            done = subprocess.run(
                [str(self._command), *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                timeout=_START_SECONDS,
                check=False,
            )
            said.seek(0)
            assert done.returncode == 0, said.read().decode(errors="replace")

    def _configuration(self) -> dict[str, object]:
        conf: dict[str, object] = {
            "prefix": self.prefix,
            "database": "off",
            "declarative_config": self.prefix / "kong.yml",
            "proxy_listen": f"{HOST}:{self.port}",
            "status_listen": f"{HOST}:{self._status_port}",
            "admin_listen": "off",
            "admin_gui_listen": "off",
            "anonymous_reports": "off",
            "log_level": "error",
            "proxy_access_log": "off",
            "nginx_worker_processes": 1,
            "mem_cache_size": "32m",
            "lmdb_map_size": "32m",
            # Kong's workers become `nobody` when root starts it, and that user may not enter a temporary folder.
            **({"nginx_user": "root root"} if os.geteuid() == 0 else {}),
        }
        if self._server:
            name = f"pluginserver_{PLUGIN.replace('-', '_')}"
            conf |= {
                "plugins": f"bundled,{PLUGIN}",
                "pluginserver_names": PLUGIN,
                f"{name}_socket": self.prefix / SOCKET_NAME,
                f"{name}_query_cmd": shlex.join(self._server.query),
                f"{name}_start_cmd": shlex.join(self._server.start),
            }
        return conf
