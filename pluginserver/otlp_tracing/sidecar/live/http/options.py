"""Options of the live page: on or off, its token, its host names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from otlp_tracing.config.loopback import is_loopback
from otlp_tracing.config.tokens import read_token


@dataclass(frozen=True, slots=True)
class PageOptions:
    """Options of the live page and the reports.

    Args:
        is_on: the page is served.
        token: required for all data; None if access needs no token.
        hosts: allowed host names, in lower case, beside localhost and IP addresses.
        trace_url: URL of a trace in the user's backend, with {trace_id}; empty if unset.
    """

    is_on: bool = True
    token: str | None = None
    hosts: frozenset[str] = frozenset()
    trace_url: str = ""


def page_options(
    mode: str,
    http_host: str,
    environment: Mapping[str, str],
    *,
    token_file: str = "",
    hosts: str = "",
    trace_url: str = "",
) -> PageOptions:
    """Return the options from arguments and environment.

    Args:
        mode: on, off, or auto: on for a loopback address, or with a token.
        http_host: the address of the listener.
        environment: may hold the token; other users could read an argument.
        token_file: holds the token instead.
        hosts: names, separated by commas.
        trace_url: as PageOptions has it.

    Raises:
        ConfigError: as read_token.
    """
    token = read_token("page", environment, token_file)
    is_on = mode == "on" or (mode == "auto" and (token is not None or is_loopback(http_host)))
    names = frozenset(name.strip().lower() for name in hosts.split(",") if name.strip())
    return PageOptions(is_on, token, names, trace_url)
