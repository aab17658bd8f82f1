"""`otlp-tracing status`: how delivery is, destination by destination, as a table or as JSON."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from otlp_tracing.errors import ConfigError, Fault

__all__ = ["narrow_table", "show", "status", "table"]

_SECONDS = 5.0
_ANY_WIDTH = 10_000  # columns
_MAX_BYTES = 16 << 20  # thousands of destinations
_COLOURS = {"ok": "green", "retrying": "yellow", "held": "red", "unknown": "red", "idle": "dim"}
_WELL = frozenset({"ok", "idle"})
_MEANINGS = {
    "unknown": "its headers are not known yet: no configuration has named it since the start",
    "idle": "nothing came for an hour and nothing waits; it goes on with the next span",
}


def status(address: str, *, as_json: bool, token: str | None = None) -> int:
    """Ask a sidecar, show what it says, and return the exit code: 1 if anything fails or does not add up.

    Args:
        address: of its HTTP port, as `127.0.0.1:9464`.
        as_json: for a program instead of a person.
        token: of the live page, which the sidecar's reports want too; None where there is none.

    Raises:
        ConfigError: if nobody answers there, or the token is not the one.
    """
    found = _ask(address, token)
    destinations = found.get("destinations", [])
    if as_json:
        json.dump(found, sys.stdout, indent=1)
        print()
    else:
        show(Console(), found)
    is_well = not found.get("spool_trouble") and all(one["state"] in _WELL for one in destinations)
    return 0 if is_well and not any(one["balance"] for one in destinations) else 1


def show(console: Console, found: Mapping[str, Any]) -> None:
    """Print what a sidecar says."""
    destinations: Sequence[Mapping[str, Any]] = found.get("destinations", [])
    if found.get("spool_trouble"):
        console.print(f"[red]spans are in memory alone:[/] {escape(found['spool_trouble'])}")
    if not destinations:
        console.print("no destination yet: it takes a request that is traced")
        return
    wide = table(destinations)
    # Asked for the width it would like: cut to a narrow terminal's, a table of eleven columns says nothing.
    fits = console.measure(wide, options=console.options.update(width=_ANY_WIDTH)).maximum <= console.width
    console.print(wide if fits else narrow_table(destinations))
    for one in destinations:
        if reason := one["reason"] or _MEANINGS.get(one["state"]):
            console.print(f"{escape(one['destination'])} {_state(one)}: {escape(reason)}")
    wrong = sum(abs(one["balance"]) for one in destinations)
    console.print(
        f"[red]{wrong} spans are unaccounted for[/]"
        if wrong
        else "[green]the books balance:[/] received + restored = exported + rejected + dropped + spooled + in flight"
    )


def table(destinations: Sequence[Mapping[str, Any]]) -> Table:
    """Lay destinations out, one a row."""
    made = Table(header_style="bold")
    for name in _FIGURES:
        made.add_column(name, justify="left" if name in _TEXTS else "right", no_wrap=name == "state")
    for one in destinations:
        made.add_row(*(figure(one) for figure in _FIGURES.values()))
    return made


def narrow_table(destinations: Sequence[Mapping[str, Any]]) -> Table:
    """Lay destinations out below each other, one figure a row: for a terminal of 80 columns."""
    made = Table(show_header=False)
    for one in destinations:
        for name, figure in _FIGURES.items():
            made.add_row(name, figure(one), end_section=name == list(_FIGURES)[-1])
    return made


def _state(one: Mapping[str, Any]) -> str:
    since = f" for {_age(one['failing_s'])}" if one["failing_s"] is not None else ""
    return f"[{_COLOURS.get(one['state'], 'red')}]{one['state']}{since}[/]"


def _received(one: Mapping[str, Any]) -> str:
    return f"{one['received']:,}" + (f" + {one['restored']:,} restored" if one["restored"] else "")


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "—"
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _dropped(one: Mapping[str, Any]) -> str:
    return ", ".join(f"{spans:,} {reason}" for reason, spans in one["dropped"].items() if spans) or "0"


def _disk(one: Mapping[str, Any]) -> str:
    return f"{one['spool_bytes'] / (1 << 20):,.1f} of {one['spool_max_bytes'] / (1 << 20):,.0f} MiB"


_TEXTS = frozenset({"destination", "state"})
_FIGURES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "destination": lambda one: escape(one["destination"]),
    "state": _state,
    "received": _received,
    "exported": lambda one: f"{one['exported']:,}",
    "rejected": lambda one: f"{one['rejected']:,}",
    "dropped": _dropped,
    "spooled": lambda one: f"{one['spooled']:,}",
    "in flight": lambda one: f"{one['in_flight']:,}",
    "oldest": lambda one: _age(one["oldest_s"]),
    "last success": lambda one: _age(one["last_success_s"]),
    "disk": _disk,
}


def _ask(address: str, token: str | None) -> Mapping[str, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"http://{address}/delivery", headers=headers)  # http, see above
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
            found = json.loads(answer.read(_MAX_BYTES))
    except HTTPError as error:
        rule = "wants its token: --page-token-file, or OTLP_TRACING_PAGE_TOKEN" if error.code == 401 else str(error)
        raise ConfigError([Fault("--http", address, rule)]) from error
    except (OSError, HTTPException, ValueError) as error:
        raise ConfigError([Fault("--http", address, f"no sidecar answers there: {error}")]) from error
    if not isinstance(found, dict):
        raise ConfigError([Fault("--http", address, "what answers there is no sidecar")])
    return found
