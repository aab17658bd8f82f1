"""Tools and data that come from elsewhere: pinned, made once, kept outside the checkout."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

_DEBIAN = "bookworm"  # the base of Kong's Debian image, and its Python, 3.11
_BUILD_SECONDS = 900
_CRD = "config/crd"
_DEFINITIONS = {
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": [
        "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
    ],
    "github.com/kong/kubernetes-configuration@v1.4.0": [
        f"{_CRD}/ingress-controller/configuration.konghq.com_kongplugins.yaml",
        f"{_CRD}/ingress-controller/configuration.konghq.com_kongclusterplugins.yaml",
        f"{_CRD}/gateway-operator/gateway-operator.konghq.com_dataplanes.yaml",
    ],
    "sigs.k8s.io/gateway-api@v1.3.0": [f"{_CRD}/standard/gateway.networking.k8s.io_httproutes.yaml"],
}
"""Go modules, and their files that define custom resources."""


class ToolMissing(Exception):
    """It is not here and cannot be made here; the message says why."""


def cache_folder() -> Path:
    """Return where downloads are kept, as tests/e2e/collector/build.sh does."""
    own = os.environ.get("OTLP_TRACING_CACHE")
    shared = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(own) if own else shared / "otlp-tracing"


def debian_base() -> Path:
    """Return an archive of a bare Debian.

    Raises:
        ToolMissing: debootstrap failed.
    """
    archive = cache_folder() / f"debian-{_DEBIAN}.tar"
    if not archive.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            _make(["debootstrap", "--variant=minbase", _DEBIAN, folder])
            for leftover in ("var/lib/apt/lists", "var/cache/apt/archives"):
                shutil.rmtree(Path(folder, leftover))
            partial = archive.with_suffix(".partial")
            _make(["tar", "--directory", folder, "--create", "--file", str(partial), "."])
            partial.replace(archive)
    return archive


def go_tool(package: str, version: str) -> Path:
    """Return a program of a Go module, built once a version.

    Raises:
        ToolMissing: Go is missing, or the build failed.
    """
    name = package.replace("/", "-")
    program = cache_folder() / "tools" / f"{name}-{version}"
    if not program.exists():
        with tempfile.TemporaryDirectory() as folder:
            _make(["go", "install", f"{package}@{version}"], GOBIN=folder, GOFLAGS="-mod=mod")
            (built,) = Path(folder).iterdir()
            program.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(built, program)
    return program


def resource_definitions() -> Path:
    """Return a folder with the definitions of the custom resources of which there are shipped files.

    Raises:
        ToolMissing: Go is missing, or a module cannot be had.
    """
    digest = hashlib.sha256(repr(_DEFINITIONS).encode()).hexdigest()[:12]
    folder = cache_folder() / f"definitions-{digest}"
    if not folder.exists():
        partial = folder.with_suffix(".partial")
        partial.mkdir(parents=True, exist_ok=True)
        for module, files in _DEFINITIONS.items():
            source = Path(json.loads(_make(["go", "mod", "download", "-json", module]))["Dir"])
            for name in files:
                shutil.copyfile(source / name, partial / Path(name).name)
        partial.rename(folder)
    return folder


def kubernetes_schemas(version: str) -> Path:
    """Return a folder with the OpenAPI descriptions of a Kubernetes, as kubectl-validate wants them.

    Raises:
        ToolMissing: Go is missing, or the module cannot be had.
    """
    folder = cache_folder() / f"kubernetes-{version}"
    if not folder.exists():
        module = json.loads(_make(["go", "mod", "download", "-json", f"k8s.io/kubernetes@v{version}"]))
        partial = folder.with_suffix(".partial")
        for source in Path(module["Dir"], "api", "openapi-spec", "v3").glob("api*__v*_openapi.json"):
            *group, name = source.name.removesuffix("_openapi.json").split("__")
            target = partial.joinpath(*group, f"{name}.json")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        partial.rename(folder)
    return folder


def compose_config() -> Path:
    """Return the program of compose_config/, which loads compose files as docker compose does.

    Raises:
        ToolMissing: Go is missing, or the build failed.
    """
    return _own_program("compose_config")


def dashboard_schema() -> Path:
    """Return the program of dashboard_schema/, which reads dashboards with Grafana's types.

    Raises:
        ToolMissing: Go is missing, or the build failed.
    """
    return _own_program("dashboard_schema")


def _own_program(folder: str) -> Path:
    source = Path(__file__).with_name(folder)
    digest = hashlib.sha256(b"".join((source / name).read_bytes() for name in ("main.go", "go.sum"))).hexdigest()[:12]
    program = cache_folder() / "tools" / f"{folder.replace('_', '-')}-{digest}"
    if not program.exists():
        _make(["go", "build", "-C", str(source), "-trimpath", "-o", str(program), "."])
    return program


def _make(command: list[str], **environment: str) -> str:
    if shutil.which(command[0]) is None:
        raise ToolMissing(f"needs {command[0]}")
    done = subprocess.run(
        command,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=_BUILD_SECONDS,
    )
    if done.returncode:
        raise ToolMissing(f"{' '.join(command)}: {done.stderr[-2000:]}")
    return done.stdout
