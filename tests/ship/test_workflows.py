"""The workflows: valid for actionlint, and consistent with the package."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

from checkout import CHECKOUT
from ship.tools import go_tool

WORKFLOWS = CHECKOUT / ".github" / "workflows"
ACTIONLINT = ("github.com/rhysd/actionlint/cmd/actionlint", "v1.7.9")


def test_actionlint_finds_nothing(tool: Callable[..., Path], run: Callable[..., str]) -> None:
    """Every workflow is one that the runner understands; the shell in it is clean."""
    shellcheck = Path(sys.executable).with_name("shellcheck")
    run(tool(lambda: go_tool(*ACTIONLINT)), "-shellcheck", shellcheck, *sorted(WORKFLOWS.glob("*.yml")))


def test_every_supported_python_is_tested() -> None:
    """From the oldest that the package allows, on both processors."""
    matrix = yaml.safe_load((WORKFLOWS / "ci.yml").read_text())["jobs"]["python"]["strategy"]["matrix"]
    oldest = re.search(r'requires-python = ">=3\.(\d+)"', (CHECKOUT / "pyproject.toml").read_text())

    assert oldest
    assert matrix["python"][0] == f"3.{oldest[1]}"
    assert any("arm" in runner for runner in matrix["runner"])


def test_every_image_target_is_released() -> None:
    """The targets of Dockerfile.kong that are for running, and no other."""
    images = yaml.safe_load((WORKFLOWS / "release.yml").read_text())["jobs"]["images"]["strategy"]["matrix"]["include"]
    targets = set(re.findall(r"^FROM .* AS ([a-z-]+)$", (CHECKOUT / "Dockerfile.kong").read_text(), re.MULTILINE))

    assert {image["target"] for image in images} == {target for target in targets if not target.endswith("-venv")}
