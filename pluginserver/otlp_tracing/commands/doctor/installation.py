"""Questions about the installed package."""

from __future__ import annotations

import platform
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from otlp_tracing import __version__
from otlp_tracing.commands.doctor.findings import Finding
from otlp_tracing.errors import ConfigError
from otlp_tracing.kong_server.loader import load
from otlp_tracing.paths import PLUGIN_FILE, build_flavor, plugin_folder


def ask_installation(plugins: Path | None) -> Iterator[Finding]:
    """Tell versions and form, and whether the plugin file belongs to this package.

    Args:
        plugins: another folder of the plugin file, for tests.
    """
    yield Finding("ok", "package", f"otlp-tracing {__version__} ({build_flavor()}), Python {platform.python_version()}")
    # The package is on no index.
    install = shlex.join([sys.executable, "-m", "pip", "install", "--force-reinstall", "--no-deps", "CHECKOUT"])
    try:
        path = (plugins or plugin_folder()) / PLUGIN_FILE
        version = load(path).version
    except ConfigError as error:
        yield Finding("FAIL", "plugin file", "; ".join(map(str, error.faults)), install)
        return
    if version != __version__:
        text = f"{path} has version {version}, and the package has {__version__}"
        yield Finding("FAIL", "plugin file", text, install)
    else:
        yield Finding("ok", "plugin file", f"{path} has the version of the package")
