"""The gateway's processes: the command, the plugin servers it starts; and the stock plugin server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otlp_tracing_devtools.fake_kong import PluginServerCommands, StandInGateway, parse_declaration
from otlp_tracing_devtools.fake_kong.__main__ import main
from otlp_tracing_devtools.fake_kong.plugin_process import PluginProcess
from scripted_upstream import ScriptedUpstream

_PLUGIN = """
Schema = ({"tag": {"type": "string", "default": "t"}},)
version = "0.1"
priority = 100

class Plugin:
    def __init__(self, config):
        self.config = config

    def access(self, kong):
        kong.service.request.set_header("X-Probe", self.config["tag"])
        kong.log.set_serialize_value("my.key", {"a": 1})

    def log(self, kong):
        record, _ = kong.log.serialize()
        with open(RECORDS, "a") as records:
            records.write(record + "\\n")
"""


def test_the_command_prints_its_url_and_ends_on_sigterm(tmp_path: Path) -> None:
    """One line with the URL when ready; exit code 0 after SIGTERM."""
    (tmp_path / "kong.yml").write_text('_format_version: "3.0"\n')
    command = [sys.executable, "-m", "otlp_tracing_devtools.fake_kong", str(tmp_path / "kong.yml")]
    with subprocess.Popen([*command, "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        code = process.wait(20)

    assert line.startswith("http://127.0.0.1:")
    assert code == 0


def test_the_command_says_what_is_wrong_with_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and one line on stderr."""
    code = main([str(tmp_path / "absent.yml"), "--listen", "127.0.0.1:0"])

    assert code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_server_that_ends_is_started_again_and_stopped_at_the_end(tmp_path: Path) -> None:
    """Killed, it comes back with another pid; after stop none is left."""
    pids = tmp_path / "pids"

    async def run() -> tuple[list[int], int | None]:
        process = PluginProcess("p", f"sh -c 'echo $$ >> {pids}; exec sleep 1000'", {})
        process.start()
        first = await _pid(process, unlike=None)
        os.kill(first, signal.SIGKILL)
        second = await _pid(process, unlike=first)
        await process.stop()
        return [first, second], process.pid

    (first, second), left = asyncio.run(run())

    assert first != second
    assert left is None
    assert not Path(f"/proc/{second}").exists()


def test_a_command_that_is_not_there_is_not_started_again() -> None:
    """Exit code 127 ends the respawning, as in Kong."""

    async def run() -> None:
        process = PluginProcess("p", "/no/such/command", {})
        process.start()
        assert process._task is not None
        await asyncio.wait_for(process._task, 10)
        await process.stop()

    asyncio.run(run())


def test_only_what_is_named_is_handed_on(tmp_path: Path) -> None:
    """The start command sees the variables that the gateway was told to hand on, and no other."""
    seen = tmp_path / "seen"

    async def run() -> None:
        process = PluginProcess("p", f"sh -c 'env > {seen}; exec sleep 1000'", {"OTEL_SERVICE_NAME": "edge"})
        process.start()
        await _until(lambda: seen.exists() and "PWD" in seen.read_text())
        await process.stop()

    asyncio.run(run())

    names = {line.partition("=")[0] for line in seen.read_text().splitlines()}
    assert names - {"PWD", "SHLVL", "_"} == {"OTEL_SERVICE_NAME"}


async def _pid(process: PluginProcess, unlike: int | None) -> int:
    await _until(lambda: process.pid not in {None, unlike})
    assert process.pid is not None
    return process.pid


async def _until(holds: Callable[[], bool]) -> None:
    """Wait for an action of another process by asking for its result."""

    async def poll() -> None:
        while not holds():
            await asyncio.sleep(0.01)

    await asyncio.wait_for(poll(), 20)


@pytest.mark.stock
@pytest.mark.parametrize("mode", ["", "-g"], ids=["threads", "gevent"])
def test_kongs_own_python_plugin_server_works_behind_the_stand_in(tmp_path: Path, fetch: Any, mode: str) -> None:
    """Dump, start, access and log: a header reaches the upstream, a record the plugin."""
    plugins, records = tmp_path / "plugins", tmp_path / "records.jsonl"
    plugins.mkdir()
    (plugins / "probe.py").write_text(f"RECORDS = {str(records)!r}\n{_PLUGIN}")
    code = "from kong_pdk.cli import start_server; start_server()"
    start = f"{sys.executable} -W ignore -c '{code}' -p {tmp_path} -d {plugins} --socket-name s.sock {mode}"
    server = PluginServerCommands("probe", tmp_path / "s.sock", f"{start} --dump-all-plugins", start)

    async def run() -> str | None:
        async with ScriptedUpstream() as upstream:
            service = {
                "name": "a",
                "host": "127.0.0.1",
                "port": upstream.port,
                "routes": [{"name": "r", "paths": ["/"]}],
            }
            plugin = {"name": "probe", "config": {"tag": "stock"}}
            content = {"_format_version": "3.0", "services": [service], "plugins": [plugin]}
            async with StandInGateway(parse_declaration(content), [server]) as gateway:
                await gateway.wait_for_plugin_servers()
                assert (await fetch(gateway.url, "/x")).status == 200
                await _until(lambda: records.exists() and records.read_text().endswith("\n"))
            return upstream.calls[0].headers.get("x-probe")

    assert asyncio.run(run()) == "stock"
    record = json.loads(records.read_text())
    assert (record["my"], record["response"]["status"]) == ({"key": {"a": 1}}, 200)
