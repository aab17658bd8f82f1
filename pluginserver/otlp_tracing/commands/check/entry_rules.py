"""The judgement of one otlp-tracing entry: the faults that Kong or the sidecar would find, and warnings.

Kong's own schema comes first, then the stages of the sidecar that read the configuration.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from otlp_tracing.commands.check.entry_warnings import entry_warnings
from otlp_tracing.commands.check.vault_references import RESOLVED, literal_references, resolved
from otlp_tracing.commands.kong_files.documents import Entry
from otlp_tracing.commands.kong_files.entities import DECK_FIELDS, ENTRY, MANIFEST, PLACEHOLDER, PLUGIN
from otlp_tracing.config.schema import SCHEMA
from otlp_tracing.config.settings import Settings
from otlp_tracing.config.validation import FieldList, complete, variable_hint
from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.sampling.rules import Rules
from otlp_tracing.sidecar.access_logs.body import Body
from otlp_tracing.sidecar.export.destination import Destination
from otlp_tracing.sidecar.redaction.redactor import Redactor
from otlp_tracing.sidecar.spans.cardinality import CardinalityLimit
from otlp_tracing.sidecar.spans.http_methods import HttpMethods
from otlp_tracing.sidecar.spans.rules import SpanRules
from otlp_tracing.sidecar.tail.rules import TailRules

CONSUMERS = ("consumer", "consumer_group")
"""Fields of an entry that bind it to consumers."""


def faults_of(entry: Mapping[str, Any]) -> list[Fault]:
    """Return all faults of one entry; fields of its configuration begin with `config.`."""
    return inspect(entry)[0]


def inspect_in_file(entry: Entry, *, is_deck: bool) -> tuple[list[Fault], list[tuple[str, str]]]:
    """Return the faults and warnings of inspect(), and the faults of the place where an entry stands.

    Args:
        entry: of a file.
        is_deck: it is a file for decK.
    """
    faults, warnings = inspect(entry.value, is_manifest=entry.manifest is not None, is_deck=is_deck)
    if entry.scope.has_consumer and not any(map(entry.value.get, CONSUMERS)):
        # Kong refuses the field `consumer`. It takes an entry inside of a consumer, and never runs it.
        faults.append(Fault("", "", "cannot belong to a consumer: the plugin runs before the consumer is known"))
    return faults, warnings


def inspect(
    entry: Mapping[str, Any], *, is_manifest: bool = False, is_deck: bool = False
) -> tuple[list[Fault], list[tuple[str, str]]]:
    """Return the faults of an entry, and warnings about settings that Kong accepts and that cannot work as written.

    Args:
        entry: as written; decK's placeholders in it are not checked.
        is_manifest: it is from a KongPlugin, which has other fields around its configuration.
        is_deck: it is in a file for decK, which takes a few fields more.

    Returns:
        All faults; and the warnings, each with its field, if the configuration has no fault.
    """
    fields = MANIFEST if is_manifest else [*ENTRY, *({name: {"type": "any"}} for name in DECK_FIELDS if is_deck)]
    faults, warnings = list(_entry_faults(entry, fields)), []
    config = entry.get("config")
    if PLACEHOLDER in str(config):
        text = "has decK placeholders, which are not checked; run `deck file render --populate-env-vars` first"
        warnings.append(("config", text))
        config = _without(config, lambda value: isinstance(value, str) and PLACEHOLDER in value)
    completed, found = complete(SCHEMA, config)
    if found and isinstance(config, dict):
        # The stages after the schema see the defaults of the fields in which the schema found a fault.
        broken = {re.split(r"[.\[]", fault.field)[0] for fault in found}
        completed, _ = complete(SCHEMA, {name: value for name, value in config.items() if name not in broken})
    if isinstance(config, dict) or not found:
        further, more = _beyond_the_schema(completed)
        found += further
        warnings += more if not found else ()
    for fault in found:
        hint = variable_hint(fault.value) if fault.field.endswith("endpoint") else ""
        rule = fault.rule if fault.rule.endswith(hint) else f"{fault.rule}{hint}"
        faults.append(Fault(f"config.{fault.field}" if fault.field != "config" else "config", fault.value, rule))
    return faults, warnings


def _entry_faults(entry: Mapping[str, Any], fields: FieldList) -> Iterator[Fault]:
    configurable = {name for field in SCHEMA for name in field}
    known = {name for field in fields for name in field}
    for fault in complete(fields, entry)[1]:
        if fault.kind == "rule":
            yield fault
        elif fault.field == "ordering":
            yield Fault(fault.field, "", "no such field: open-source Kong has no ordering of plugins")
        elif fault.field in configurable:
            yield Fault(fault.field, "", "belongs under config: indent it further")
        elif fault.field not in CONSUMERS:
            yield fault
    if entry.get("config") and entry.get("configFrom"):
        yield Fault("configFrom", "", "cannot stand beside config: the Ingress Controller takes one of them")
    if "config" in entry and entry["config"] is None and "config" in known and "disabled" not in known:
        yield Fault("config", "", "is empty: indent its fields below it, or leave it out")
    if entry.get("name") != PLUGIN:
        yield Fault("name", json.dumps(entry.get("name")), f"must be {PLUGIN}")
    for name in CONSUMERS:
        if entry.get(name) is not None:
            yield Fault(name, "", "cannot be set: the plugin runs before the consumer is known")
    if entry.get("protocols") in ([], {}):
        yield Fault("protocols", "", "is empty: the entry runs for no request and no connection; leave it out for HTTP")


def _beyond_the_schema(completed: Mapping[str, Any]) -> tuple[list[Fault], list[tuple[str, str]]]:
    # Kong resolves vault references before the plugin sees them.
    literal = list(literal_references(completed, SCHEMA, "config"))
    completed = resolved(completed, SCHEMA)
    key = completed["redaction"]["hash_key"]
    is_elsewhere = key is not None and key.startswith("/") and not Path(key).exists()
    if is_elsewhere:
        completed["redaction"]["hash_key"] = RESOLVED
    faults: list[Fault] = []
    try:
        settings = Settings.from_completed(completed)
    except ConfigError as error:
        return list(error.faults), []
    stages: Sequence[Callable[[], object]] = (
        lambda: Rules.of(settings.sampling.rules),
        lambda: TailRules(settings.sampling.tail_rules),
        *(partial(Destination.from_settings, settings, os.environ, signal=signal) for signal in settings.signals),
        lambda: Body(settings.logs.body, settings.span.attributes),
        lambda: Redactor(settings.redaction),
    )
    for stage in stages:
        try:
            stage()
        except ConfigError as error:
            faults += error.faults
    faults += SpanRules.from_settings(settings, HttpMethods({}), CardinalityLimit()).faults
    if faults:
        return faults, []
    warnings = [*entry_warnings(settings), *literal]
    if is_elsewhere:
        warnings.append(("config.redaction.hash_key", "this file is not on this machine"))
    return faults, warnings


def _without(value: Any, is_dropped: Callable[[Any], bool]) -> Any:
    if isinstance(value, dict):
        return {name: _without(one, is_dropped) for name, one in value.items() if not is_dropped(one)}
    if isinstance(value, list):
        return [_without(one, is_dropped) for one in value if not is_dropped(one)]
    return value
