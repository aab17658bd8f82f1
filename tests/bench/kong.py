"""A Kong Gateway to measure: no database, one nginx worker, one tracing plugin or none, and no log lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from bench.plugin_servers import SOCKET_NAME
from e2e.kong_process import KongProcess, plugin_server_settings
from e2e.ports import HOST, accepts, free_port
from e2e.waiting import wait_for

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
        self.prefix = prefix
        self._server = server
        self.port = free_port()
        (prefix / "kong.yml").write_text(yaml.safe_dump(dict(declaration)))
        own: dict[str, object] = {
            "declarative_config": prefix / "kong.yml",
            "proxy_listen": f"{HOST}:{self.port}",
            "log_level": "error",
            "proxy_access_log": "off",
            **(plugin_server_settings(prefix / "otlp-tracing.socket", server.query, server.start) if server else {}),
        }
        self._kong = KongProcess(command, prefix, {**own, **(settings or {})})

    def pids(self, kind: str) -> list[int]:
        """Return the pids of nginx's workers, of the plugin server (`server`), of its workers, or of its sidecar."""
        family = self._kong.family()
        if kind == "worker":
            return [process.pid for process in family if process.role == "worker"]
        kinds: dict[str, list[int]] = {"nginx": [], "sidecar": [], "server": []}
        for process in family:
            other = "sidecar" if process.role == "sidecar" else "server"
            kinds["nginx" if process.command[0].startswith("nginx:") else other].append(process.pid)
        return kinds[kind]

    def __enter__(self) -> Kong:
        self._kong.start()
        try:
            wait_for(lambda: self._kong.answers("/status/ready"), _START_SECONDS, "Kong is ready")
            if self._server:
                wait_for(lambda: accepts(str(self.prefix / SOCKET_NAME)), _START_SECONDS, "the plugin server accepts")
        except BaseException:
            self._kong.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._kong.stop()
