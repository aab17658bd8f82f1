"""Options of the listener that takes records from Kong's own queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from otlp_tracing.config.tokens import read_token
from otlp_tracing.errors import ConfigError, Fault

PATH = "/otlp-tracing/records"
"""Path of the listener; `check` recognizes an http-log for the sidecar by it."""

TOKEN_HEADER = "X-OTLP-Tracing-Token"  # noqa: S105  # the name of it


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """Where batches are taken, and from whom.

    Args:
        host: address of the listener.
        port: likewise; 0 takes a free one.
        token: that every batch must bring in TOKEN_HEADER.
    """

    host: str
    port: int
    token: str


def ingest_options(host: str, port: int, environment: Mapping[str, str], token_file: str = "") -> IngestOptions:
    """Return the options from arguments and environment.

    Args:
        host: address of the listener.
        port: likewise.
        environment: may hold the token; other users could read an argument.
        token_file: holds the token instead.

    Raises:
        ConfigError: without a token, or for one that cannot be used.
    """
    token = read_token("ingest", environment, token_file)
    if token is None:
        rule = "needs a token: name its file with --ingest-token-file, or set OTLP_TRACING_INGEST_TOKEN"
        raise ConfigError([Fault("--ingest-http", f"{host}:{port}", rule)])
    return IngestOptions(host, port, token)
