"""`otlp-tracing status`: the state of every destination, as a table or as JSON."""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError

from otlp_tracing.commands.option_kinds import Address
from otlp_tracing.commands.options import OptionParser, SidecarOptions
from otlp_tracing.commands.screen import Cell, Screen, printable
from otlp_tracing.config.tokens import read_token
from otlp_tracing.errors import ConfigError, Fault

EXAMPLE = "otlp-tracing status --http 127.0.0.1:9464"
_SECONDS = 5.0
_NOT_A_SIDECAR = "another program answers there, not a sidecar"
_MAX_BYTES = 16 << 20  # thousands of destinations
_COLOURS = {"ok": "green", "retrying": "yellow", "idle": "dim"}
_WELL = frozenset({"ok", "idle"})
_SHOWN_WARNINGS = 5
_MEANINGS = {
    "unknown": "its headers are not known yet: no configuration has named it since the start",
    "idle": "nothing came for an hour and nothing waits; the next one is exported as usual",
}
_NO_SIDECAR = (
    "no sidecar answers there ({}); is `otlp-tracing serve` running, in this container, and with the same --http?"
)


def add_options(parser: OptionParser) -> None:
    """Add the command's options."""
    SidecarOptions.add_to(parser, "http", "page_token_file")
    parser.add_argument("--json", action="store_true", help="print JSON, for a program")


def run(options: argparse.Namespace) -> int:
    """Ask a sidecar, show its answer, and return the exit code."""
    token = read_token("page", os.environ, options.page_token_file)
    return status(options.http, as_json=options.json, token=token)


def status(address: Address, *, as_json: bool, token: str | None = None) -> int:
    """Ask a sidecar, show its answer, and return the exit code: 1 if anything fails or does not add up.

    Args:
        address: of its HTTP port.
        as_json: for a program instead of a person.
        token: of the live page, which the sidecar's reports need too; None where there is no token.

    Raises:
        ConfigError: if no sidecar answers there, or it wants another token.
    """
    found = fetch_report(address, token)
    destinations = found.get("destinations", [])
    states = [one["state"] for one in (*destinations, *found.get("metrics", ()))]
    if as_json:
        json.dump(found, sys.stdout, indent=1)
        print()
    else:
        show(Screen(), found)
    policy = found.get("policy") or {}
    troubles = (found.get("spool_trouble"), policy.get("fault"), found.get("faulty_entries"))
    is_well = not any(troubles) and all(one in _WELL for one in states)
    return 0 if is_well and not any(one["balance"] for one in destinations) else 1


def unit_of(destination: Mapping[str, Any]) -> str:
    """Return the word for what a destination of spans or log records gets; a sidecar of an older version has spans."""
    return "log records" if destination.get("signal") == "logs" else "spans"


def entry_words(faulty: Mapping[str, Any]) -> str:
    """Return the name of an entry with a fault: Kong's id of it, and its scope."""
    scope = [f"{kind} {faulty[kind]}" for kind in ("route", "service") if faulty[kind]]
    name = f" {faulty['entry']}" if faulty["entry"] else ""
    return printable(f"entry{name} ({', '.join(scope) or 'global'})")


def faults_of(faulty: Mapping[str, Any]) -> str:
    """Return the faults of an entry as one line."""
    return printable("; ".join(faulty["faults"]))


def show(screen: Screen, found: Mapping[str, Any]) -> None:
    """Print a sidecar's report: a row for each destination; on a narrow screen, a row for each figure."""
    destinations = _told_apart(found.get("destinations", []))
    if found.get("spool_trouble"):
        screen.line(("spans and log records are in memory alone:", "red"), f" {printable(found['spool_trouble'])}")
    if found.get("policy"):
        _show_policy(screen, found["policy"])
    if found.get("debug_session"):
        _show_session(screen, found["debug_session"])
    faulty = found.get("faulty_entries", ())
    _show_faulty(screen, faulty)
    if not destinations:
        screen.line(f"no destination{'' if faulty else ' yet: the first traced request names one'}")
        _show_warnings(screen, found.get("warnings", ()))
        return
    heads: list[Cell] = [(name, "bold") for name in _FIGURES]
    rows = [[_cell(name, one) for name in _FIGURES] for one in destinations]
    if not screen.table([heads, *rows], right=_NUMBERS):
        for row in rows:
            screen.line()
            for (name, style), (text, colour) in zip(heads, row, strict=True):
                screen.line((name.ljust(14), style), (text, colour))
        screen.line()
    for one in destinations:
        _show_trouble(screen, one, one["reason"] or _MEANINGS.get(one["state"]))
    for one in _told_apart(found.get("metrics", ())):
        since = f"last accepted {_age(one['last_success_s'])} ago" if one["last_success_s"] is not None else "none yet"
        _show_trouble(screen, one, one["reason"] or since)
    _show_warnings(screen, found.get("warnings", ()))
    if found.get("spool_max_bytes"):
        screen.line(f"disk, all destinations together: {_mebibytes(found)}")
    if wrong := _unaccounted(destinations):
        screen.line((f"{wrong} are unaccounted for", "red"))
    else:
        balance = " received + restored = exported + rejected + dropped + spooled + in flight"
        screen.line(("the books balance:", "green"), balance)


def _show_faulty(screen: Screen, faulty: Sequence[Mapping[str, Any]]) -> None:
    """Print each entry that traces nothing, or leaves a part out."""
    for one in faulty:
        text, colour = ("leaves a part out", "yellow") if one["traces"] else ("traces nothing", "red")
        screen.line((f"{entry_words(one)} {text}", colour), f", for {_age(one['since_s'])}: {faults_of(one)}")


def _show_policy(screen: Screen, policy: Mapping[str, Any]) -> None:
    """Print the state of the policy file: a wrong version of it, and the policies that are in force."""
    if policy["fault"]:
        screen.line(("policy file refused:", "red"), printable(f" {policy['file']}: {policy['fault']}"))
    if policy["applied_s"] is None:
        screen.line(printable(f"no policy is in force; the file is {policy['file']}"))
        return
    names, sender = policy["policies"], policy["sender"] or "an unnamed sender"
    text = f"{len(names)} {'policy' if len(names) == 1 else 'policies'} in force, of {sender}, for"
    # A sidecar of an older version has no copy.
    copied = f", from the copy of the last good file ({policy['sha256'][:12]})" if policy.get("is_restored") else ""
    screen.line(printable(f"{text} {_age(policy['applied_s'])}{copied}{': ' if names else ''}{', '.join(names)}"))


def _show_session(screen: Screen, session: Mapping[str, Any]) -> None:
    """Print the debug session that runs: its sender, its age, the conditions, and the rest of its time and number."""
    match = "; ".join(
        f"{name} {', '.join(map(str, one if isinstance(one, list) else [one]))}"
        for name, one in session["match"].items()
    )
    left = f"{_age(session['left_s'])} or {session['left_requests']:,} requests left, {session['kept']:,} kept"
    sender = session["sender"] or "an unnamed sender"
    screen.line(("debug session", "yellow"), printable(f" of {sender}, for {_age(session['age_s'])}: {left}; {match}"))


def _show_trouble(screen: Screen, one: Mapping[str, Any], reason: str | None) -> None:
    if reason:
        screen.line(f"{printable(one['destination'])} ", (_state(one), _colour(one)), f": {printable(reason)}")
    if remedy := one.get("remedy"):
        screen.line(f"  remedy: {printable(remedy)}")


def _unaccounted(destinations: Sequence[Mapping[str, Any]]) -> str:
    wrong: Counter[str] = Counter()
    for one in destinations:
        wrong[unit_of(one)] += abs(one["balance"])
    return " and ".join(f"{number} {unit}" for unit, number in wrong.items() if number)


def _told_apart(destinations: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Add to an endpoint of several destinations the parts in which they differ; a number if all these are the same."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for one in destinations:
        groups.setdefault(one["destination"], []).append(one)
    named = {id(one): _words(one, group) for group in groups.values() for one in group}
    return [{**one, "destination": f"{one['destination']}{named[id(one)]}"} for one in destinations]


def _words(one: Mapping[str, Any], group: Sequence[Mapping[str, Any]]) -> str:
    """Return the words that tell a destination from the others of its endpoint; empty if it has none."""
    differing = [trait for trait in _TRAITS if len({trait(other) for other in group}) > 1]
    words = [trait(one) for trait in differing]
    same = [other for other in group if [trait(other) for trait in differing] == words]
    if len(same) > 1:
        words.append(f"#{1 + next(number for number, other in enumerate(same) if other is one)}")
    return f" ({', '.join(words)})" if words else ""


def _header_names(one: Mapping[str, Any]) -> str:
    return f"headers {' '.join(one['header_names'])}" if one.get("header_names") else "no headers"


# A sidecar of an older version tells the protocol alone.
_TRAITS: Sequence[Callable[[Mapping[str, Any]], str]] = (
    lambda one: str(one["protocol"]),
    lambda one: f"service.name {one.get('service_name') or 'not set'}",
    _header_names,
)


def _show_warnings(screen: Screen, warnings: Sequence[Mapping[str, Any]]) -> None:
    """Print the newest lines of the log; the sidecar has more of them at /log."""
    if warnings:
        screen.line(("last warnings, all of them at /log:", "bold"))
    for one in warnings[-_SHOWN_WARNINGS:]:
        times = f" ({one['count']:,} times)" if one["count"] > 1 else ""
        style = "yellow" if one["level"] == "WARNING" else "red"
        first, *more = one["text"].splitlines() or [""]
        where = f"  {_age(one['age_s'])} ago{times}, {one['process']}: "
        screen.line((printable(where), "dim"), (printable(first) + (" …" if more else ""), style))


def _cell(name: str, one: Mapping[str, Any]) -> Cell:
    return printable(_FIGURES[name](one)), _colour(one) if name == "state" else ""


def _colour(one: Mapping[str, Any]) -> str:
    return _COLOURS.get(one["state"], "red")


def _state(one: Mapping[str, Any]) -> str:
    return str(one["state"]) + (f" for {_age(one['failing_s'])}" if one["failing_s"] is not None else "")


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


def _mebibytes(one: Mapping[str, Any]) -> str:
    return f"{one['spool_bytes'] / (1 << 20):,.1f} of {one['spool_max_bytes'] / (1 << 20):,.0f} MiB"


_FIGURES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "destination": lambda one: str(one["destination"]),
    "state": _state,
    "received": _received,
    "exported": lambda one: f"{one['exported']:,}",
    "rejected": lambda one: f"{one['rejected']:,}",
    "dropped": _dropped,
    "spooled": lambda one: f"{one['spooled']:,}",
    "in flight": lambda one: f"{one['in_flight']:,}",
    "oldest": lambda one: _age(one["oldest_s"]),
    "last success": lambda one: _age(one["last_success_s"]),
    "disk": _mebibytes,
}
_NUMBERS = frozenset(range(2, len(_FIGURES)))  # columns


def fetch_report(address: Address, token: str | None) -> Mapping[str, Any]:
    """Return a sidecar's report of its destinations.

    Args:
        address: of its HTTP port.
        token: of the live page; None where there is no token.

    Raises:
        ConfigError: if no sidecar answers there, or it wants another token.
    """
    try:
        found = json.loads(fetch(address, "/delivery", token))
    except ValueError as error:
        raise ConfigError([Fault("--http", str(address), _NOT_A_SIDECAR)]) from error
    if not isinstance(found, dict):
        raise ConfigError([Fault("--http", str(address), _NOT_A_SIDECAR)])
    return found


def fetch(address: Address, path: str, token: str | None) -> bytes:
    """Return the body of a sidecar's answer; the arguments and errors are those of fetch_report()."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"http://{address}{path}", headers=headers)  # never https
    try:
        # A proxy is for the collectors.
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=_SECONDS) as answer:
            return bytes(answer.read(_MAX_BYTES))
    except HTTPError as error:
        is_locked = error.code == HTTPStatus.UNAUTHORIZED
        rule = "wants its token: --page-token-file, or OTLP_TRACING_PAGE_TOKEN" if is_locked else _NOT_A_SIDECAR
        raise ConfigError([Fault("--http", str(address), rule)]) from error
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(getattr(error, "reason", error), "strerror", None) or type(error).__name__
        raise ConfigError([Fault("--http", str(address), _NO_SIDECAR.format(reason.lower()))]) from error
