"""`otlp-tracing dump --format lua` in Kong itself, in place of a Lua plugin's schema: as a control plane has it."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
from pathlib import Path

import pytest

from configurations import configurations
from e2e.kong_process import KongProcess
from e2e.ports import HOST, free_port
from e2e.waiting import wait_for
from otlp_tracing.config.schema import SCHEMA
from otlp_tracing.config.validation import complete


def is_valid(connection: http.client.HTTPConnection, config: object) -> bool:
    """Ask Kong's Admin API, on a connection that it keeps open."""
    body = json.dumps({"name": "otlp-tracing", "config": config})
    connection.request("POST", "/schemas/plugins/validate", body, {"content-type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    assert answer.status in {200, 400}
    return answer.status == 200


@pytest.mark.timeout(900)  # a minute of work, on a machine that may be busy
def test_kong_has_the_verdicts_of_the_python_schema(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Each field with values that its rules allow, and values that each breaks."""
    executable: Path | None = pytestconfig.getoption("--kong")
    if executable is None:
        pytest.skip("the stand-in has no Lua; tests/unit/config/test_lua_schema.py compares the tables")
    plugin = tmp_path / "lua" / "kong" / "plugins" / "otlp-tracing"
    plugin.mkdir(parents=True)
    (plugin / "handler.lua").write_text('return { PRIORITY = 100010, VERSION = "1.0" }')
    with (plugin / "schema.lua").open("w") as schema:
        subprocess.run(
            [sys.executable, "-m", "otlp_tracing", "dump", "--format", "lua"], stdout=schema, check=True, timeout=90
        )
    admin = free_port()
    (tmp_path / "kong").mkdir()
    kong = KongProcess(
        executable.resolve(),
        tmp_path / "kong",
        {
            "plugins": "bundled,otlp-tracing",
            "lua_package_path": f"{tmp_path}/lua/?.lua;;",
            "proxy_listen": "off",
            "admin_listen": f"{HOST}:{admin}",
        },
    )
    kong.start()
    try:
        wait_for(lambda: kong.answers("/status", admin), 30, "the Admin API answers")
        with contextlib.closing(http.client.HTTPConnection(HOST, admin, timeout=60)) as connection:
            different = [
                config
                for config in configurations(SCHEMA)
                if is_valid(connection, config) == bool(complete(SCHEMA, config)[1])
            ]
    finally:
        kong.stop()

    assert different == []
