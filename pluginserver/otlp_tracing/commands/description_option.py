"""The file with the plugin's description, which `otlp-tracing dump` writes and Kong reads: is it of this version?"""

from __future__ import annotations

import json
from pathlib import Path

from otlp_tracing import __version__
from otlp_tracing.commands.option_kinds import path
from otlp_tracing.paths import typed_command


def description(value: str) -> Path:
    """Read the path of the plugin's description that Kong was given; it has to be of this version."""
    try:
        found = json.loads(path(value).read_bytes())
        (plugin,) = found["Plugins"] if isinstance(found, dict) else found
        version = plugin["Version"]
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError("must be a file that `otlp-tracing dump` wrote") from error
    if version != __version__:
        raise ValueError(
            f"describes version {version}, and this is {__version__}: write it anew with `{typed_command('dump')}`"
        )
    return Path(value)
