"""Asks a real Kong for its verdict on declarative configurations, with Kong's own parser and schemas."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from e2e.kong_process import plugin_server_settings
from kong_verdicts.cases import Verdict
from otlp_tracing.kong_server.loader import describe, load
from otlp_tracing.paths import PLUGIN_FILE, plugin_folder

_LUA = Path(__file__).parent / "lua"
_SECONDS = 120
_LONGEST_MESSAGE = 120


def ask(kong: Path, cases: Iterable[Verdict]) -> dict[str, tuple[bool, str]]:
    """Return for each case whether the Kong with this command takes it, and Kong's message."""
    with tempfile.TemporaryDirectory() as folder:
        prefix = Path(folder) / "prefix"
        prefix.mkdir()
        dump = prefix / "dump.json"
        dump.write_text(json.dumps(describe(load(plugin_folder() / PLUGIN_FILE), "msgpack")))
        settings = plugin_server_settings(prefix / "otlp-tracing.socket", ["cat", str(dump)], ["sleep", "60"])
        conf = prefix / "kong.conf"
        conf.write_text("".join(f"{name} = {value}\n" for name, value in {**settings, "prefix": prefix}.items()))
        files = prefix / "files.jsonl"
        rows = ({"name": one.name, "base64": base64.b64encode(one.content).decode()} for one in cases)
        files.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        done = subprocess.run(
            [str(kong), "config", "parse", "-c", str(conf), str(files)],
            env={**os.environ, "KONG_LUA_PATH_OVERRIDE": f"{_LUA}/?.lua;", "KONG_DATABASE": "off"},
            capture_output=True,
            check=True,
            timeout=_SECONDS,
        )
    answers = (json.loads(line) for line in done.stdout.splitlines() if line.startswith(b"{"))
    return {one["name"]: (one["accepted"], _short(one["message"])) for one in answers}


def _short(message: str) -> str:
    # The end has the rule; an address in memory differs each time.
    return " ".join(message.split())[-_LONGEST_MESSAGE:]
