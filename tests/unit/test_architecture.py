"""The dependency graph: which part may import which, and which modules are never loaded where."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import otlp_tracing
from checkout import CHECKOUT
from loaded_modules import modules_loaded_by

PACKAGE = Path(otlp_tracing.__file__).parent

# Every part of the package, and the parts it may import. One way only: no cycle can hide in here, since a part may
# name only those above it.
MAY_IMPORT = {
    "errors": set(),
    "log_limit": set(),
    "folders": set(),
    "logs": set(),
    "unix_sockets": set(),
    "metrics": set(),
    "context": set(),
    "config": {"errors"},
    "handoff": {"errors", "logs", "metrics"},
    "propagation": {"config", "context"},
    "sampling": {"errors", "config", "context", "propagation"},
    "plugin": {"errors", "log_limit", "logs", "unix_sockets", "metrics", "context", "config", "handoff", "sampling"},
    "kong_server": {"errors", "folders", "log_limit", "unix_sockets"},
    "sidecar": {
        "errors",
        "folders",
        "paths",
        "log_limit",
        "logs",
        "unix_sockets",
        "metrics",
        "context",
        "config",
        "handoff",
        "propagation",
        "sampling",
    },
    "paths": {"errors"},
    "commands": {
        *("errors", "folders", "paths", "log_limit", "logs", "unix_sockets", "metrics", "context", "config"),
        *("sampling", "plugin", "handoff", "kong_server", "sidecar"),
    },
    "cli": {"errors", "paths", "logs", "commands"},
    "__main__": {"cli"},
    "__init__": set(),
}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            if node.module == "otlp_tracing":
                yield from (f"otlp_tracing.{alias.name}" for alias in node.names)


def parts_imported(path: Path) -> set[str]:
    names = (name.split(".") for name in imports(path) if name.startswith("otlp_tracing."))
    return {name[1] for name in names} - {"__version__"}


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_parts_import_only_what_they_may(part: str) -> None:
    """A part of the package imports no part but those it is allowed to."""
    files = [PACKAGE / f"{part}.py"] if (PACKAGE / f"{part}.py").exists() else sorted((PACKAGE / part).rglob("*.py"))
    found = {other for path in files for other in parts_imported(path)}

    assert files
    assert found - {part} <= MAY_IMPORT[part]


# The stages of a record's way through the sidecar, in the same form; `service` and `pipeline` join them.
SIDECAR_MAY_IMPORT = {
    "ingest": set(),
    "route_table": set(),
    "outcome": {"ingest", "route_table"},
    "telemetry": {"ingest", "outcome", "route_table", "spans"},
    "tail": {"ingest", "outcome", "route_table", "telemetry"},
    "spans": {"ingest"},
    "redaction": {"spans", "telemetry"},
    "otlp": {"spans"},
    "access_logs": {"ingest", "otlp", "spans"},
    "spool": set(),
    "export": {"otlp", "spans", "spool", "telemetry"},
    "live": {"ingest", "outcome", "redaction", "spans", "tail", "telemetry"},
    "entries": {
        *("ingest", "route_table", "telemetry", "tail"),
        *("spans", "redaction", "access_logs", "export", "live"),
    },
    "pipeline": {
        *("ingest", "route_table", "outcome", "telemetry", "tail", "entries"),
        *("spans", "redaction", "otlp", "access_logs", "export", "live"),
    },
    "service": {"ingest", "telemetry", "tail", "spool", "export", "live", "pipeline"},
}


def stages_imported(path: Path) -> set[str]:
    names = (name.split(".") for name in imports(path) if name.startswith("otlp_tracing.sidecar."))
    return {name[2] for name in names}


@pytest.mark.parametrize("stage", SIDECAR_MAY_IMPORT)
def test_stages_import_only_what_they_may(stage: str) -> None:
    """A stage of the sidecar imports no stage but those it is allowed to."""
    module = PACKAGE / "sidecar" / f"{stage}.py"
    files = [module] if module.exists() else sorted((PACKAGE / "sidecar" / stage).rglob("*.py"))
    found = {other for path in files for other in stages_imported(path)}

    assert files
    assert found - {stage} <= SIDECAR_MAY_IMPORT[stage]


def test_the_graph_of_the_sidecar_is_whole() -> None:
    """Every stage is in the graph, at most four of them are loose modules, and no import closes a cycle."""
    folder = PACKAGE / "sidecar"
    loose = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    below = {stage: set(others) for stage, others in SIDECAR_MAY_IMPORT.items()}
    order: list[str] = []
    while below:
        free = {stage for stage, others in below.items() if others <= set(order)}
        assert free, f"a cycle among {sorted(below)}"
        order += sorted(free)
        below = {stage: others for stage, others in below.items() if stage not in free}

    assert loose | {path.parent.name for path in folder.glob("*/__init__.py")} == set(SIDECAR_MAY_IMPORT)
    assert len(loose) <= 4


def test_every_part_is_in_the_graph() -> None:
    """A new module or folder has to be given its place."""
    parts = {path.stem for path in PACKAGE.glob("*.py")} | {path.parent.name for path in PACKAGE.glob("*/__init__.py")}

    assert parts == set(MAY_IMPORT)


@pytest.mark.parametrize(
    "module", ["otlp_tracing.plugin.environment", "otlp_tracing.commands.worker", "otlp_tracing.plugin.handler"]
)
def test_the_request_path_loads_no_sdk(module: str) -> None:
    """Neither OpenTelemetry nor gRPC nor anything of the sidecar is loaded into the plugin server's worker."""
    loaded = modules_loaded_by(f"import {module}")

    heavy = {"opentelemetry", "grpc", "aiohttp", "google", "prometheus_client", "otlp_tracing.sidecar"}
    assert not [name for name in loaded if name in heavy or name.startswith("opentelemetry")]


@pytest.mark.parametrize("module", ["otlp_tracing.commands.trace", "otlp_tracing.commands.status"])
def test_commands_that_a_person_waits_for_load_no_grpc(module: str) -> None:
    """GRPC and aiohttp take half a second to load, and only commands that export need them."""
    loaded = modules_loaded_by(f"import {module}")

    assert not {"grpc", "aiohttp"} & set(loaded)


def test_kong_is_named_in_one_module_only() -> None:
    """No module but plugin/pdk.py calls `kong.*`; the doubles in testing/ answer such calls."""
    callers = []
    for path in (PACKAGE / "plugin").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            is_named = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "kong"
            is_called = isinstance(node, ast.Call) and any(
                isinstance(argument, ast.Constant) and str(argument.value).startswith("kong.") for argument in node.args
            )
            if is_named or is_called:
                callers.append(path.name)

    assert set(callers) == {"pdk.py"}


def test_the_plugin_lies_alone() -> None:
    """Kong's own plugin server loads every .py in plugins/ as a plugin, so there is one."""
    assert [path.name for path in (CHECKOUT / "plugins").iterdir() if path.name != "__pycache__"] == ["otlp-tracing.py"]


def test_every_test_is_a_promise() -> None:
    """Every test has a sentence with its promise."""
    silent = [
        f"{path.name}: {node.name}"
        for path in (CHECKOUT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]

    assert silent == []


def test_no_compiled_module_joins_an_attribute_and_none() -> None:
    """As in `return made().attributes, None`: mypyc frees the attribute with its object before it has a reference."""
    found = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in sorted({path for pattern in _compiled() for path in PACKAGE.glob(pattern)})
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Tuple)
        and any(isinstance(one, ast.Attribute) for one in node.elts)
        and any(isinstance(one, ast.Constant) and one.value is None for one in node.elts)
        and isinstance(node.ctx, ast.Load)
    ]

    assert found == []


def _compiled() -> tuple[str, ...]:
    for node in ast.parse((CHECKOUT / "hatch_build.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "COMPILED":
            patterns: tuple[str, ...] = ast.literal_eval(node.value)
            return patterns
    raise AssertionError("hatch_build.py has no COMPILED")
