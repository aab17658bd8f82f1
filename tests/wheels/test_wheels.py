"""The two wheels in empty environments: the product alone, then with the development tools; pure and compiled.

Needs a package index or pip's cache, for the locked dependencies.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import pytest

from absent import absent
from checkout import CHECKOUT
from e2e.ports import HOST, free_port
from e2e.processes import end
from otlp_tracing import __version__

pytestmark = pytest.mark.timeout(900)

_BUILD_SECONDS = 600  # mypyc's C code, on a machine that may be busy
_INSTALL_SECONDS = 300
_COMMAND_SECONDS = 120
_END_SECONDS = 20


class Installation:
    """A virtual environment outside the checkout, with nothing but a lock file's packages."""

    def __init__(self, folder: Path, lock: str) -> None:
        self.folder = folder
        venv.create(folder, with_pip=True)
        self._pip("--require-hashes", "-r", str(CHECKOUT / lock))

    def install(self, *wheels: Path) -> None:
        """Install wheels over those that are there, without their dependencies."""
        self._pip("--no-deps", "--force-reinstall", *map(str, wheels))

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start `otlp-tracing` with these arguments."""
        return subprocess.Popen(self._command(*arguments), cwd=self.folder, env=self._environment(environment))

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `otlp-tracing` with these arguments to its end."""
        return self._run(self._command(*arguments), _COMMAND_SECONDS)

    def succeeds(self, *arguments: str) -> str:
        """Run `otlp-tracing`, which must exit with 0, and return its output."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _command(self, *arguments: str) -> list[str]:
        return [str(self.folder / "bin" / "otlp-tracing"), *arguments]

    def _pip(self, *arguments: str) -> None:
        command = [str(self.folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", *arguments]
        done = self._run(command, _INSTALL_SECONDS)
        assert done.returncode == 0, done.stderr

    def _run(self, command: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self._environment({}),
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )

    @staticmethod
    def _environment(added: Mapping[str, str]) -> dict[str, str]:
        foreign = ("OTEL_", "OTLP_TRACING_", "PYTHON")
        return {**{name: value for name, value in os.environ.items() if not name.startswith(foreign)}, **added}


def build(source: Path, folder: Path, *, compiled: bool = False) -> Path:
    """Build a wheel of a source tree into an empty folder."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run(
        [*command, "--no-build-isolation", "--wheel-dir", str(folder), str(source)],
        env={**os.environ, "HATCH_BUILD_HOOK_ENABLE_CUSTOM": str(int(compiled))},
        check=True,
        timeout=_BUILD_SECONDS,
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module", params=["pure", "compiled"])
def product(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the product's wheel."""
    compiled = cast(str, request.param) == "compiled"
    if compiled and shutil.which("cc") is None:
        absent("needs a C compiler", "gcc")
    return build(CHECKOUT, tmp_path_factory.mktemp("wheel"), compiled=compiled)


@pytest.fixture(scope="module")
def devtools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the wheel of the development tools."""
    return build(CHECKOUT / "devtools", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Give an environment with the dependencies of the product."""
    return Installation(tmp_path_factory.mktemp("bare"), "requirements.lock")


@pytest.fixture(scope="module")
def alone(bare: Installation, product: Path) -> Installation:
    """Give an environment with the product and its dependencies."""
    bare.install(product)
    return bare


@pytest.fixture(scope="module")
def bare_with_devtools(tmp_path_factory: pytest.TempPathFactory, devtools: Path) -> Installation:
    """Give an environment with the dependencies of both distributions, and the development tools."""
    installation = Installation(tmp_path_factory.mktemp("demo"), "requirements-demo.lock")
    installation.install(devtools)
    return installation


@pytest.fixture
def served(alone: Installation, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Give the prefix of a running plugin server, and the address of its sidecar."""
    prefix, address = str(tmp_path), f"{HOST}:{free_port()}"
    server = alone.start("serve", "--kong-prefix", prefix, "--http", address)
    yield prefix, address
    end(server, _END_SECONDS)


def test_the_product_is_alone_in_its_wheel(product: Path) -> None:
    """No test double, demo or example is in it, and its only data files are the plugin and the man page."""
    with zipfile.ZipFile(product) as wheel:
        names = wheel.namelist()
    parts = {part for name in names for part in Path(name).with_suffix("").parts}

    assert not parts & {"testing", "tests", "demo", "devtools", "otlp_tracing_devtools", "examples", "shop", "kong"}
    assert {name.split("/")[0] for name in names if "__mypyc" not in name} == {
        "otlp_tracing",
        f"otlp_tracing-{__version__}.data",
        f"otlp_tracing-{__version__}.dist-info",
    }
    assert {name.partition(".data/data/share/")[2] for name in names if ".data/" in name} == {
        "man/man1/otlp-tracing.1",
        "otlp-tracing/plugins/otlp-tracing.py",
    }


def test_the_form_is_as_built(alone: Installation, product: Path) -> None:
    """`--version` tells whether the request path is compiled."""
    compiled = "none-any" not in product.name

    assert ("(compiled)" in alone.succeeds("--version")) is compiled


def test_the_product_alone_describes_and_checks(alone: Installation) -> None:
    """`dump` prints Kong's description of the plugin, and `check` accepts the shipped kong.yml."""
    (plugin,) = json.loads(alone.succeeds("dump"))

    assert plugin["Name"] == "otlp-tracing"
    assert alone.run("check", str(CHECKOUT / "kong" / "kong.yml")).returncode == 0


def test_the_product_alone_serves(alone: Installation, served: tuple[str, str]) -> None:
    """Plugin server and embedded sidecar answer `probe`, and `status` reads the sidecar."""
    prefix, address = served

    alone.succeeds("probe", "--kong-prefix", prefix, "--wait", "60")
    alone.succeeds("probe", "sidecar", "--http", address, "--wait", "60")
    alone.succeeds("status", "--http", address)


def test_the_product_alone_runs_a_sidecar(alone: Installation, tmp_path: Path) -> None:
    """A sidecar by itself answers `probe`."""
    address = f"{HOST}:{free_port()}"
    options = ["--http", address, "--listen", str(tmp_path / "sidecar.sock"), "--spool", str(tmp_path / "spool")]
    sidecar = alone.start("sidecar", *options)
    try:
        alone.succeeds("probe", "sidecar", "--http", address, "--wait", "60")
    finally:
        end(sidecar, _END_SECONDS)


def test_the_demo_is_a_distribution_of_its_own(alone: Installation) -> None:
    """Without it, `demo` names the commands that install it, in one sentence."""
    done = alone.run("demo")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "pip install --no-deps . ./devtools" in done.stderr


def test_with_the_extra_the_demo_runs(bare_with_devtools: Installation, product: Path) -> None:
    """With both wheels, the demo shows every request's trace and ends with 0."""
    bare_with_devtools.install(product)

    assert "20 requests" in bare_with_devtools.succeeds("demo", "--requests", "20", "--exit")


def test_a_release_has_the_urls_of_its_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package index shows where source, documentation and issues are; other builds name no repository."""
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://git.example.com")
    monkeypatch.setenv("GITHUB_REPOSITORY", "team/otlp-tracing")
    with zipfile.ZipFile(build(CHECKOUT, tmp_path)) as wheel:
        metadata = wheel.read(f"otlp_tracing-{__version__}.dist-info/METADATA").decode()

    assert "Project-URL: Source, https://git.example.com/team/otlp-tracing\n" in metadata
    assert "Project-URL: Issues, https://git.example.com/team/otlp-tracing/issues\n" in metadata
