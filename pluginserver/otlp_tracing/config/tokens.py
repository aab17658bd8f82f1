"""Reads a token that protects one of the sidecar's ports, from a file or a variable; never from an argument."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from otlp_tracing.errors import ConfigError, Fault

_SHORTEST_TOKEN = 16  # characters; 64 bits at the least, if they are random hexadecimal digits


def read_token(environment: Mapping[str, str], variable: str, token_file: str, option: str) -> str | None:
    """Return a token from its file or its variable; None without one.

    Args:
        environment: may hold the variable.
        variable: its name.
        token_file: path of a file that holds the token instead; empty without one.
        option: the name of the option with that path, for messages.

    Raises:
        ConfigError: for a file that cannot be read, or a token that is too short or has other characters.
    """
    source = option if token_file else variable
    try:
        token = Path(token_file).read_text(encoding="ascii").strip() if token_file else environment.get(variable)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not ASCII"
        raise ConfigError([Fault(source, json.dumps(token_file), f"cannot be read: {reason}")]) from error
    if token is None or (not token and not token_file):
        return None
    if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        rule = f"must hold a token of {_SHORTEST_TOKEN} or more printable ASCII characters, without spaces"
        raise ConfigError([Fault(source, "", rule)])
    return token
