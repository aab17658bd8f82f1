"""A program that is not here: a skip, and in CI a failure where a package would have brought it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from absent import absent


@pytest.fixture
def packages_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a machine with root and a double of apt-get that knows the package `known` alone."""
    apt = tmp_path / "apt-get"
    apt.write_text('#!/bin/sh\n[ "$*" = "install --simulate --quiet known" ]\n')
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)


@pytest.mark.usefixtures("packages_known")
def test_in_ci_what_a_package_brings_has_to_be_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """With CI set, on a machine that could install the package, the test fails and names it."""
    monkeypatch.setenv("CI", "true")

    with pytest.raises(pytest.fail.Exception, match="needs a tool; CI is set, and apt-get could install known"):
        absent("needs a tool", "known")


@pytest.mark.usefixtures("packages_known")
@pytest.mark.parametrize("packages", [(), ("unknown",)], ids=["from elsewhere", "a package that apt-get does not know"])
def test_in_ci_what_cannot_be_had_is_skipped(monkeypatch: pytest.MonkeyPatch, packages: tuple[str, ...]) -> None:
    """With CI set, a missing program that no package brings is a skip."""
    monkeypatch.setenv("CI", "true")

    with pytest.raises(pytest.skip.Exception, match="needs a tool"):
        absent("needs a tool", *packages)


@pytest.mark.usefixtures("packages_known")
def test_in_ci_without_root_it_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """With CI set, a user that may not install packages skips."""
    monkeypatch.setenv("CI", "true")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(pytest.skip.Exception, match="needs a tool"):
        absent("needs a tool", "known")


@pytest.mark.usefixtures("packages_known")
def test_elsewhere_it_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without CI a missing program is a skip."""
    monkeypatch.delenv("CI", raising=False)

    with pytest.raises(pytest.skip.Exception, match="needs a tool"):
        absent("needs a tool", "known")
