"""A real Kong: its kong.conf, its start and its end. Every test and benchmark on a real Kong starts it here."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from e2e.client import fetch
from e2e.ports import HOST, free_port
from e2e.processes import Process, alive, descendants
from e2e.waiting import wait_for

NAME = "otlp-tracing"
_COMMAND_SECONDS = 90.0
_STOP_SECONDS = 30.0
_FOREIGN = ("KONG_", "OTEL_", "OTLP_")


def plugin_server_settings(socket: Path, query: Sequence[str], start: Sequence[str] | None = None) -> dict[str, object]:
    """Return the lines of kong.conf for our plugin server; without a start command, Kong only knows its description."""
    server = f"pluginserver_{NAME.replace('-', '_')}"
    return {
        "plugins": f"bundled,{NAME}",
        "pluginserver_names": NAME,
        f"{server}_socket": socket,
        f"{server}_query_cmd": shlex.join(query),
        **({f"{server}_start_cmd": shlex.join(start)} if start else {}),
    }


class KongProcess:
    """One node of a real Kong, without a database and with one nginx worker unless its settings say otherwise.

    Args:
        executable: the `kong` command.
        prefix: an empty folder; kong.conf is written beside it.
        settings: lines of kong.conf, added to those that every Kong has here.
        environment: added to the environment of this process, without variables that configure Kong or tracing.
    """

    def __init__(
        self,
        executable: Path,
        prefix: Path,
        settings: Mapping[str, object],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._executable = executable
        self.prefix = prefix
        self.status_port = free_port()
        own = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        self._environment = {**own, **(environment or {})}
        self.conf = prefix.with_name(f"{prefix.name}.conf")
        lines = {**self._settings(), **settings}
        self.conf.write_text("".join(f"{name} = {value}\n" for name, value in lines.items()))

    @property
    def master(self) -> int:
        """The pid of nginx's master, once Kong has started."""
        return int((self.prefix / "pids" / "nginx.pid").read_text())

    def family(self) -> list[Process]:
        """Return every process that descends from nginx's master."""
        return descendants(self.master)

    def run(self, *arguments: str) -> None:
        """Run a `kong` command to its end; it must succeed."""
        # A file, because a process that Kong starts keeps a pipe open.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                [str(self._executable), *arguments],
                env=self._environment,
                cwd=self.prefix.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
                timeout=_COMMAND_SECONDS,
            )
            output.seek(0)
            assert done.returncode == 0, f"kong {arguments}: {output.read().decode(errors='replace')}"

    def start(self) -> None:
        """Start it. It may not answer yet."""
        self.run("start", "-c", str(self.conf))

    def answers(self, path: str, port: int | None = None) -> bool:
        """Tell whether a listener, by default the status listener, answers 200."""
        try:
            return fetch(f"http://{HOST}:{port or self.status_port}", path).status == 200
        except (OSError, IndexError, ValueError):
            return False

    def stop(self) -> None:
        """Stop it and wait until it is gone; kill the processes that should have ended by themselves."""
        master = self.master
        family = [master, *(process.pid for process in descendants(master))]
        try:
            self.run("stop", "-p", str(self.prefix))
            wait_for(lambda: not any(map(alive, family)), _STOP_SECONDS, "Kong's processes end")
        finally:
            for pid in family:
                if alive(pid):
                    os.kill(pid, signal.SIGKILL)

    def log(self) -> str:
        """Return its error log."""
        return (self.prefix / "logs" / "error.log").read_text(errors="replace")

    def _settings(self) -> dict[str, object]:
        return {
            "prefix": self.prefix,
            "database": "off",
            "status_listen": f"{HOST}:{self.status_port}",
            "admin_listen": "off",
            "admin_gui_listen": "off",
            "anonymous_reports": "off",
            "nginx_worker_processes": 1,
            "mem_cache_size": "32m",
            "lmdb_map_size": "32m",
            # Kong's workers become `nobody` when root starts it, and that user may not enter the test's folder.
            **({"nginx_user": "root root"} if os.geteuid() == 0 else {}),
        }
