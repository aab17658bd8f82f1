"""Compiles the request path with mypyc, on request: the same source, as C.

It is optional: a wheel without it is pure Python, and runs wherever Python does. There are two ways.
`HATCH_BUILD_HOOK_ENABLE_CUSTOM=1 pip install .` builds a wheel for this platform and this Python. `make compile` puts
the libraries beside their sources in a checkout. Both need a C compiler. docs/decisions/0012-compiled-request-path.md
has the reasons and the figures.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

CHECKOUT = Path(__file__).resolve().parent
SOURCES = CHECKOUT / "pluginserver"
COMPILED = (
    "context.py",
    "handoff/*.py",
    "propagation/*.py",
    "sampling/*.py",
    "plugin/emitter.py",
    "plugin/handler.py",
    "plugin/log_correlation.py",
    "plugin/notes.py",
    "plugin/pdk.py",
    "kong_server/instances.py",
    "kong_server/worker.py",
    "kong_server/protocol/*.py",
    "sidecar/entries/*.py",
    "sidecar/ingest/frame_handler.py",
    "sidecar/ingest/grpc_status.py",
    "sidecar/ingest/nginx_facts.py",
    "sidecar/ingest/request_record.py",
    "sidecar/ingest/start_time.py",
    "sidecar/outcome.py",
    "sidecar/pipeline.py",
    "sidecar/route_table.py",
    "sidecar/tail/decision.py",
    "sidecar/tail/report.py",
    "sidecar/tail/rules.py",
    "sidecar/spans/*.py",
    # Not the detectors: few requests reach them, and RE2 does their work.
    "sidecar/redaction/cost.py",
    "sidecar/redaction/query.py",
    "sidecar/redaction/redactor.py",
    "sidecar/redaction/string_kinds.py",
    "sidecar/redaction/scan/layers.py",
    "sidecar/redaction/scan/scan.py",
    "sidecar/otlp/*.py",
    "sidecar/access_logs/*.py",
    "sidecar/telemetry/counter_family.py",
    "sidecar/telemetry/connection_metrics.py",
    "sidecar/telemetry/exemplars.py",
    "sidecar/telemetry/histogram.py",
    "sidecar/telemetry/registry.py",
    "sidecar/telemetry/request_duration.py",
    "sidecar/telemetry/request_metrics.py",
    "sidecar/live/rate_limiter.py",
    "sidecar/live/recorder.py",
    "sidecar/live/routes.py",
)
"""The modules of the request path. Globs, from the package's folder."""

_LIBRARY = ".so"


class ProjectUrls(MetadataHookInterface):
    """Adds the URLs of the repository whose release workflow builds the package; other builds have none."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the URLs."""
        metadata["urls"] = urls(os.environ)


def urls(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the project's URLs by their labels, from the variables of a GitHub workflow."""
    repository = environment.get("GITHUB_REPOSITORY")
    if not repository:
        return {}
    source = f"{environment.get('GITHUB_SERVER_URL', 'https://github.com')}/{repository}"
    return {
        "Documentation": f"{source}/tree/main/docs",
        "Changelog": f"{source}/blob/main/CHANGELOG.md",
        "Issues": f"{source}/issues",
        "Source": source,
    }


class CompilingHook(BuildHookInterface):  # type: ignore[type-arg]  # no builder of our own
    """Adds the libraries to a wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, unless the wheel only points to a checkout: there `make compile` does it."""
        if version == "editable":
            return
        self._folder = Path(tempfile.mkdtemp(prefix="otlp-tracing-"))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        for library in compile_in(self._folder):
            build_data["force_include"][str(library)] = str(library.relative_to(self._folder))

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Clean up."""
        if version != "editable":
            shutil.rmtree(self._folder, ignore_errors=True)


def compile_in(folder: Path) -> list[Path]:
    """Copy the package into a folder, compile it there, and return the libraries."""
    shutil.copytree(SOURCES / "otlp_tracing", folder / "otlp_tracing", ignore=shutil.ignore_patterns("*.so"))
    modules = sorted({path for pattern in COMPILED for path in (folder / "otlp_tracing").glob(pattern)})
    # `make check` tests the types, with everything installed. This build has a compiler and no libraries, so values
    # from libraries have any type.
    command = [sys.executable, "-m", "mypyc", "--config-file=", "--ignore-missing-imports"]
    subprocess.run(
        [*command, *(str(module.relative_to(folder)) for module in modules)],
        cwd=folder,
        env={"MYPYC_DEBUG_LEVEL": "0", **os.environ},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return [path for path in folder.rglob(f"*{_LIBRARY}") if "build" not in path.relative_to(folder).parts]


def compile_in_place() -> None:
    """Put the libraries beside their sources, where Python prefers them. Earlier libraries are removed."""
    for path in SOURCES.rglob(f"*{_LIBRARY}"):
        path.unlink()
    with tempfile.TemporaryDirectory(prefix="otlp-tracing-") as folder:
        for library in compile_in(Path(folder)):
            shutil.copy(library, SOURCES / library.relative_to(folder))


if __name__ == "__main__":
    compile_in_place()
