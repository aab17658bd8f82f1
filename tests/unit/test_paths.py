"""Promises of paths.py."""

from __future__ import annotations

import importlib.util
import sysconfig
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from pathlib import Path

import pytest

import otlp_tracing
from otlp_tracing import paths
from otlp_tracing.errors import ConfigError

PACKAGE = Path(otlp_tracing.__file__).parent


def libraries() -> list[Path]:
    return [path for path in PACKAGE.rglob("*") if path.name.endswith(EXTENSION_SUFFIXES[0])]


@pytest.mark.parametrize(
    ("file", "flavor"), [("worker.py", "pure Python"), (f"worker{EXTENSION_SUFFIXES[0]}", "compiled")]
)
def test_the_flavor_is_that_of_the_loaded_file(file: str, flavor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator is told whether the libraries or their sources serve."""
    found = ModuleSpec("worker", None, origin=f"/site-packages/{file}")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: found)

    assert paths.build_flavor() == flavor


def test_the_plugin_file_is_found_where_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside a checkout it is in the data of the installation; without it, one sentence names both places."""
    monkeypatch.setattr(paths, "_CHECKOUT", tmp_path / "site-packages")
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    with pytest.raises(ConfigError, match="is neither in"):
        paths.plugin_folder()

    folder = tmp_path / "share" / "otlp-tracing" / "plugins"
    folder.mkdir(parents=True)
    (folder / paths.PLUGIN_FILE).touch()

    assert paths.plugin_folder() == folder


def test_no_library_is_older_than_its_source() -> None:
    """The edited source is the one that runs: `make compile` again, or `make clean`."""
    sources = {path: path.with_name(path.name.removesuffix(EXTENSION_SUFFIXES[0]) + ".py") for path in libraries()}

    assert [str(path) for path, source in sources.items() if source.stat().st_mtime > path.stat().st_mtime] == []
