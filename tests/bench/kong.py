"""A Kong Gateway to measure: no database, one nginx worker, and no log lines."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from bench.plugin_servers import SOCKET_NAME
from e2e.client import fetch
from e2e.kong_process import KongProcess, plugin_server_settings
from e2e.ports import HOST, accepts, free_port
from e2e.waiting import wait_for
from load.process_figures import figures

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
        self.port, self._admin_port = free_port(), free_port()
        (prefix / "kong.yml").write_text(yaml.safe_dump(dict(declaration)))
        own: dict[str, object] = {
            "declarative_config": prefix / "kong.yml",
            "proxy_listen": f"{HOST}:{self.port}",
            "log_level": "error",
            "admin_listen": f"{HOST}:{self._admin_port}",
            "proxy_access_log": "off",
            "admin_access_log": "off",
            "mem_cache_size": "128m",  # ten thousand routes
            "lmdb_map_size": "128m",
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

    def resident(self) -> dict[str, int]:
        """Return the resident bytes of nginx's workers, and of the plugin server's processes by their role."""
        found: Counter[str] = Counter()
        for process in self._kong.family():
            kind = "nginx" if process.command[0].startswith("nginx:") else process.role or "server"
            found[kind] += figures(process.pid).resident_bytes
        return dict(found)

    def declare(self, declaration: Mapping[str, Any]) -> None:
        """Give it another kong.yml while it runs. It is in force a moment later."""
        body = json.dumps(declaration).encode()
        headers = [("content-type", "application/json")]
        answer = fetch(f"http://{HOST}:{self._admin_port}", "/config", headers, "POST", body=body, patience_s=120)
        assert answer.status == 201, answer.text()

    def answers(self, path: str) -> bool:
        """Tell whether the proxy answers 200, and at once."""
        started = time.monotonic()
        return fetch(f"http://{HOST}:{self.port}", path).status == 200 and time.monotonic() < started + 1

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
