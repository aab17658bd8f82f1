"""The paths of the installation: the plugin file, the command, and which build of the request path runs.

The plugin file is not part of a Python package: it lies beside the package in a checkout, and is installed as data.
"""

from __future__ import annotations

import importlib.util
import shlex
import sys
import sysconfig
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from otlp_tracing.errors import ConfigError, Fault

PLUGIN_FILE = "otlp-tracing.py"
NGINX_FACTS = Path(__file__).with_name("config") / "nginx_facts.lua"
"""The snippet for Kong's `pre-function` that puts facts of nginx into the log record."""

_MODULE = ("-m", "otlp_tracing")
_CHECKOUT = Path(__file__).resolve().parents[2]


def build_flavor() -> str:
    """Tell which build of the request path runs: `compiled` or `pure Python` (hatch_build.py)."""
    found = importlib.util.find_spec("otlp_tracing.kong_server.worker")
    compiled = found is not None and found.origin is not None and found.origin.endswith(tuple(EXTENSION_SUFFIXES))
    return "compiled" if compiled else "pure Python"


def plugin_folder() -> Path:
    """Return the folder that holds the plugin file and no other file.

    Raises:
        ConfigError: if the plugin file is neither in a checkout nor installed.
    """
    installed = Path(sysconfig.get_path("data"), "share", "otlp-tracing")
    for root in (_CHECKOUT, installed):
        if (root / "plugins" / PLUGIN_FILE).is_file():
            return root / "plugins"
    raise ConfigError([Fault("--plugins", "", f"{PLUGIN_FILE} is neither in {_CHECKOUT} nor in {installed}")])


def command_line(*arguments: str) -> list[str]:
    """Return the command line of a process of this package; a process list shows the role in it."""
    script = _script()
    return [sys.executable, *([str(script)] if script.is_file() else _MODULE), *arguments]


def typed_command(*words: str) -> str:
    """Return a command of this program as a person types it here: the program may not be in PATH."""
    script = _script()
    return shlex.join([*([str(script)] if script.is_file() else [sys.executable, *_MODULE]), *words])


def _script() -> Path:
    return Path(sys.executable).with_name("otlp-tracing")
