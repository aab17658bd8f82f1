"""The plugin's name, and other names that are written in its place."""

from __future__ import annotations

import re
from difflib import get_close_matches

from otlp_tracing.commands.kong_files.entities import PLUGIN

_ALSO_MEANT = frozenset({"otlp", "otlp-trace", "opentelemetry-tracing", "open-telemetry"})


def is_meant(name: str) -> bool:
    """Tell whether a name is the plugin's, or one that Kong does not find and that stands for it."""
    return name == PLUGIN or is_misspelt(name) or name.lower() in _ALSO_MEANT


def is_misspelt(name: str) -> bool:
    """Tell whether a name is so like the plugin's that it is no other plugin's."""
    words = re.sub(r"[^a-z0-9]", "", name.lower())
    return name != PLUGIN and (words == PLUGIN.replace("-", "") or bool(get_close_matches(name, [PLUGIN], 1, 0.85)))
