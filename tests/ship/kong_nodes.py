"""Real Kong nodes with a database: PostgreSQL of Debian's, and nodes in any role."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from e2e.gateways import PluginServer
from e2e.kong_process import KongProcess, plugin_server_settings
from e2e.ports import HOST, free_port
from e2e.waiting import wait_for
from ship.tools import ToolMissing

OTLP_HEADER = "x-api-key: from-a-vault"
"""In the environment of every node, for {vault://env/otlp-header}."""

_START_SECONDS = 90.0


class Postgres:
    """A PostgreSQL of its own, with an empty database `kong` of the user `kong`. Use it with `with`.

    Raises:
        ToolMissing: there is no PostgreSQL.
    """

    def __init__(self) -> None:
        programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        if not programs or os.geteuid() != 0:
            raise ToolMissing("needs Debian's postgresql, and root")
        self._programs = programs[-1]
        # Not in pytest's folder, which only its owner may enter: the server runs as a user of its own.
        self._folder = Path(tempfile.mkdtemp(prefix="otlp-tracing-postgres-"))
        self.port = free_port()

    def __enter__(self) -> Postgres:
        user = pwd.getpwnam("postgres")
        os.chown(self._folder, user.pw_uid, user.pw_gid)
        data = self._folder / "data"
        self._run("initdb", "--pgdata", str(data), "--auth", "trust", "--username", "kong")
        options = f"-p {self.port} -k {self._folder} -c listen_addresses={HOST} -c fsync=off"
        log = str(self._folder / "log")
        self._run("pg_ctl", "--pgdata", str(data), "--options", options, "--log", log, "--wait", "start")
        self._run("createdb", "--host", HOST, "--port", str(self.port), "--username", "kong", "kong")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._run("pg_ctl", "--pgdata", str(self._folder / "data"), "--mode", "immediate", "stop")
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def settings(self) -> dict[str, object]:
        """The settings with which Kong reaches it."""
        return {
            "database": "postgres",
            "pg_host": HOST,
            "pg_port": self.port,
            "pg_user": "kong",
            "pg_database": "kong",
            "pg_timeout": 60_000,  # on a machine that is busy Kong's 5 s pass, and it starts without a workspace
        }

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._programs / program), *arguments],
            user="postgres",
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr


class KongNode(KongProcess):
    """One node of a real Kong. Use it with `with`.

    Args:
        executable: the `kong` command.
        folder: an empty one.
        settings: of kong.conf, added to those that every node has here.
        plugin_server: whether it runs one; a control plane needs the description only.
    """

    def __init__(
        self, executable: Path, folder: Path, settings: Mapping[str, object], *, plugin_server: bool = True
    ) -> None:
        prefix = folder / "prefix"
        prefix.mkdir(parents=True)
        self.proxy, self.admin = free_port(), free_port()
        server = PluginServer.ours(prefix)
        own: dict[str, object] = {
            "proxy_listen": f"{HOST}:{self.proxy}",
            "admin_listen": f"{HOST}:{self.admin}",
            **plugin_server_settings(prefix / server.socket, server.query, server.start if plugin_server else None),
        }
        super().__init__(executable, prefix, {**own, **settings}, {"OTLP_HEADER": OTLP_HEADER})

    def migrate(self) -> None:
        """Fill the database."""
        self.run("migrations", "bootstrap", "-c", str(self.conf))

    def __enter__(self) -> KongNode:
        self.start()
        wait_for(lambda: self.answers("/status"), _START_SECONDS, "the status listener")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None:
            print(self.log()[-6000:])
        try:
            self.stop()
        finally:
            shutil.rmtree(self.prefix, ignore_errors=True)
