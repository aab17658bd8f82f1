"""The documents say what the code does. `UPDATE_DOCS=1 make test` writes the tables anew."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from documents import hold
from otlp_tracing.contract.counters import METRICS
from otlp_tracing.contract.plugin_schema import SCHEMA

CHECKOUT = Path(__file__).parents[2]


def option_table() -> str:
    rows = ["| field | default | allowed | what it does |", "|---|---|---|---|"]
    for path, field in leaves(SCHEMA):
        rows.append(f"| `{path}` | {default(field)} | {allowed(field)} | {cell(field['description'])} |")
    return "\n".join(rows)


def leaves(fields: Any, prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for one in fields:
        for name, field in one.items():
            if field["type"] == "record":
                yield from leaves(field["fields"], f"{prefix}{name}.")
            else:
                yield f"{prefix}{name}", field


def default(field: dict[str, Any]) -> str:
    value = field.get("default")
    if value is None:
        return "unset"
    if isinstance(value, list):
        return ", ".join(f"`{item}`" for item in value) or "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def allowed(field: dict[str, Any]) -> str:
    rules = {**field, **{k: v for k, v in field.get("elements", {}).items() if k in {"one_of", "between"}}}
    if "one_of" in rules:
        return ", ".join(f"`{item}`" for item in rules["one_of"])
    if "between" in rules:
        return "{} to {}".format(*rules["between"])
    if field["type"] == "array":
        inner = field["elements"]
        if inner["type"] == "record":
            return "list of {" + ", ".join(name for one in inner["fields"] for name in one) + "}"
        return "list"
    return str(field["type"])


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def metric_table() -> str:
    rows = ["| metric | kind | labels | meaning |", "|---|---|---|---|"]
    rows += [
        f"| `{metric.name}` | {metric.kind} | {', '.join(metric.labels) or '—'} | {cell(metric.help)} |"
        for metric in METRICS
    ]
    return "\n".join(rows)


def fault_table() -> str:
    rows = []
    for path in sorted((CHECKOUT / "tests" / "faults" / "delivery").glob("test_*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                promise = " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
                number, colon, text = promise.removeprefix("Fault ").partition(": ")
                is_numbered = bool(colon) and number.isdecimal()
                sentence = (text[0].upper() + text[1:]) if is_numbered else promise
                rows.append((int(number) if is_numbered else 99, path.stem, sentence))
    shown = [f"| {'—' if n == 99 else n} | {cell(sentence)} | `{stem}` |" for n, stem, sentence in sorted(rows)]
    return "\n".join(["| fault | what holds | module |", "|---|---|---|", *shown])


def test_the_options_are_documented_as_they_are() -> None:
    """Every field, its default, its range and its description are those of the schema that Kong shows."""
    hold(CHECKOUT / "docs" / "configuration.md", "options", option_table())


def test_the_metrics_are_documented_as_they_are() -> None:
    """Every metric is in the table that operators read."""
    hold(CHECKOUT / "docs" / "metrics.md", "metrics", metric_table())


def test_the_faults_are_documented_as_they_are_tested() -> None:
    """Every fault that delivery is tested with is in the table, with what its test promises."""
    hold(CHECKOUT / "docs" / "faults.md", "faults", fault_table())


def test_the_repository_names_no_place_of_one_machine() -> None:
    """A stranger's checkout lies somewhere else."""
    places = ("/root" + "/", "/work" + "/", "/opt" + "/kong")
    folders, suffixes = (
        ("docs", "tests", "kong", "pluginserver", "plugins", ".ci"),
        {".md", ".py", ".sh", ".yml", ".yaml"},
    )
    texts = [
        path
        for folder in folders
        for path in (CHECKOUT / folder).rglob("*")
        if path.suffix in suffixes or not path.suffix
    ]
    found = [
        str(path.relative_to(CHECKOUT))
        for path in [*texts, CHECKOUT / "README.md", CHECKOUT / "Makefile"]
        if path.is_file() and any(place in path.read_text(errors="ignore") for place in places)
    ]

    assert found == []
