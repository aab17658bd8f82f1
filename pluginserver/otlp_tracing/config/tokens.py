"""The tokens of the sidecar's ports, each from a file or a variable; other users could read an argument."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from otlp_tracing.errors import ConfigError, Fault

_SHORTEST_TOKEN = 16  # characters; 64 bits at the least, if they are random hexadecimal digits


def read_token(port: str, environment: Mapping[str, str], token_file: str = "") -> str | None:
    """Return the token of a port from its file or its variable; None without one.

    Args:
        port: `page`, with OTLP_TRACING_PAGE_TOKEN and --page-token-file; or `ingest`.
        environment: may hold the variable.
        token_file: path of a file that holds the token instead; empty without one.

    Raises:
        ConfigError: for a file that cannot be read, or a token that is too short or has other characters.
    """
    variable = f"OTLP_TRACING_{port.upper()}_TOKEN"
    source = f"--{port}-token-file" if token_file else variable
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
