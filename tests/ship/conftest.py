"""Fixtures of the tests of shipped files: the image, built on a double of Kong's, and tools that check files.

Downloads are kept in OTLP_TRACING_CACHE, ~/.cache/otlp-tracing unless set, like the collector. A missing tool skips
the test and says so. With CI set, a missing tool that a package brings is a failure (absent.py).
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from absent import absent
from checkout import CHECKOUT
from ship.containers import Buildah, Image
from ship.tools import ToolMissing, cache_folder, debian_base

STAND_IN = Path(__file__).with_name("stand_in_kong")
STAND_IN_PACKAGES = ("otlp_tracing_devtools", "h2", "hpack", "hyperframe")
"""The stand-in Kong and its dependencies that the product does not have; all of them pure Python."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --kong unless the end-to-end tests have."""
    with contextlib.suppress(ValueError):
        parser.addoption(
            "--kong", type=Path, metavar="PATH", help="run the tests of a real Kong on this `kong` command"
        )


@pytest.fixture(scope="session")
def tool() -> Callable[[Callable[[], Path]], Path]:
    """Give a function that finds a tool, and skips the test where it cannot be had: without Go, or a network."""

    def find(get: Callable[[], Path]) -> Path:
        try:
            return get()
        except ToolMissing as reason:
            pytest.skip(str(reason))

    return find


@pytest.fixture(scope="session")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    """Give the builder."""
    packages = {"buildah": "buildah", "debootstrap": "debootstrap", "unshare": "util-linux", "nsenter": "util-linux"}
    missing = [name for name in packages if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        needed = f"building an image here needs root and {', '.join(missing) or 'nothing else'}"
        absent(needed, *sorted({packages[name] for name in missing}))
    builder = Buildah(cache_folder() / "images", tmp_path_factory.mktemp("buildah"))
    try:
        yield builder
    finally:
        builder.close()


@pytest.fixture(scope="session")
def base_image(buildah: Buildah, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Give the double of Kong's image: a bare Debian with Kong's user and folders, and the stand-in Kong."""
    context = tmp_path_factory.mktemp("base")
    shutil.copytree(STAND_IN, context, dirs_exist_ok=True)
    for package in STAND_IN_PACKAGES:
        source = Path(str(importlib.import_module(package).__file__)).parent
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, context / "packages" / package, ignore=ignored)
    os.link(debian_base(), context / "base.tar")
    return buildah.build(context, context / "Dockerfile", "localhost/kong-stand-in")


@pytest.fixture(scope="session")
def kong_image(buildah: Buildah, base_image: Image) -> Image:
    """Give `Dockerfile.kong` on that base."""
    del base_image
    return _ours(buildah, "kong")


@pytest.fixture(scope="session")
def sidecar_image(buildah: Buildah, base_image: Image) -> Image:
    """Give its target `sidecar` on that base, which has more than it needs."""
    del base_image
    return _ours(buildah, "sidecar", "--build-arg", "COMPILED=0")


@pytest.fixture(scope="session")
def server_image(buildah: Buildah, base_image: Image) -> Image:
    """Give its target `server`, likewise."""
    del base_image
    return _ours(buildah, "server", "--build-arg", "COMPILED=0")


def _ours(buildah: Buildah, target: str, *options: str) -> Image:
    return buildah.build(
        CHECKOUT,
        CHECKOUT / "Dockerfile.kong",
        f"localhost/otlp-tracing-{target}",
        *("--target", target),
        *("--build-arg", "KONG_IMAGE=localhost/kong-stand-in"),
        *("--build-arg", "SERVER_IMAGE=localhost/kong-stand-in"),
        *options,
    )


@pytest.fixture(scope="session")
def real_kong(pytestconfig: pytest.Config) -> Path:
    """Give the `kong` command of --kong."""
    kong: Path | None = pytestconfig.getoption("--kong")
    if kong is None:
        pytest.skip("needs a real Kong: --kong=/path/to/kong")
    return kong.resolve()


@pytest.fixture(scope="session")
def run() -> Callable[..., str]:
    """Give a function that runs a command, expects success, and returns its output."""

    def do(*command: str | Path, **environment: str) -> str:
        done = subprocess.run(
            list(map(str, command)),
            cwd=CHECKOUT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

        assert done.returncode == 0, f"{command}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout

    return do
