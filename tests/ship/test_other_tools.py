"""The files for decK, Terraform and Grafana, and one wrong field in every form that has its check elsewhere."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from absent import absent
from checkout import CHECKOUT
from misspelling import with_one_wrong
from otlp_tracing.commands.check.command import check
from ship.test_workflows import ACTIONLINT
from ship.tools import compose_config, dashboard_schema, go_tool

KONG = CHECKOUT / "kong"
TERRAFORM = KONG / "terraform"
DECK = KONG / "deck" / "apply.sh"


@pytest.mark.parametrize(
    "file", [KONG / "kong.yml", TERRAFORM / "otlp-tracing.yml", KONG / "ingress-controller" / "plugin.yaml"], ids=str
)
def test_check_refuses_one_wrong_field(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Wherever the entry is, the misspelt field is named."""
    assert check([file]) == 0
    assert check([with_one_wrong(file, tmp_path, "sampling:\n", "smapling:\n")]) == 2
    assert "smapling" in "".join(capsys.readouterr())


def test_deck_refuses_one_wrong_field(run: Callable[..., str], tmp_path: Path) -> None:
    """A misspelt field of a service is named."""
    if shutil.which("deck") is None:
        absent("needs deck", "deck")

    with pytest.raises(AssertionError, match="strip_pathh"):
        run("deck", "validate", "--state", with_one_wrong(KONG / "kong.yml", tmp_path, "strip_path:", "strip_pathh:"))


def test_compose_refuses_one_wrong_field(tool: Callable[..., Path], run: Callable[..., str], tmp_path: Path) -> None:
    """A misspelt field of a service is named."""
    wrong = with_one_wrong(KONG / "compose.yml", tmp_path, "environment:", "enviromnent:")

    with pytest.raises(AssertionError, match="enviromnent"):
        run(tool(compose_config), wrong)


def test_actionlint_refuses_one_wrong_field(tool: Callable[..., Path], run: Callable[..., str], tmp_path: Path) -> None:
    """A misspelt field of a job is named."""
    workflow = CHECKOUT / ".github" / "workflows" / "ci.yml"

    with pytest.raises(AssertionError, match="runs-no"):
        run(tool(lambda: go_tool(*ACTIONLINT)), with_one_wrong(workflow, tmp_path, "runs-on:", "runs-no:"))


@pytest.mark.parametrize("file", sorted((KONG / "grafana" / "dashboards").glob("*.json")), ids=lambda path: path.name)
def test_grafana_takes_the_dashboard(
    file: Path, tool: Callable[..., Path], run: Callable[..., str], tmp_path: Path
) -> None:
    """Every field is one of Grafana's types, and a misspelt one is named."""
    run(tool(dashboard_schema), file)

    with pytest.raises(AssertionError, match="legendFromat"):
        run(tool(dashboard_schema), with_one_wrong(file, tmp_path, "legendFormat", "legendFromat"))


@pytest.fixture
def deck_calls(tmp_path: Path) -> Path:
    """Put a `deck` before all others in a folder; it writes its arguments into the file that this gives."""
    calls = tmp_path / "calls"
    calls.touch()
    deck = tmp_path / "bin" / "deck"
    deck.parent.mkdir()
    # As Debian's, it has no groups of commands.
    deck.write_text(f'#!/bin/sh\n[ "$1" != gateway ] || exit 1\necho "$*" >>{calls}\n')
    deck.chmod(0o755)
    return calls


def test_the_pipeline_checks_before_it_changes(run: Callable[..., str], deck_calls: Path, tmp_path: Path) -> None:
    """A faulty entry ends it before decK is called; without fault decK validates, shows differences, and syncs."""
    path = os.pathsep.join(map(str, [tmp_path / "bin", Path(sys.executable).parent, os.environ["PATH"]]))
    wrong = with_one_wrong(KONG / "kong.yml", tmp_path, "sampling:\n", "smapling:\n")
    with pytest.raises(AssertionError, match="smapling"):
        run(DECK, wrong, PATH=path)
    assert deck_calls.read_text() == ""

    run(DECK, KONG / "kong.yml", PATH=path, DECK_TAG="gateway")
    assert [line.split()[0] for line in deck_calls.read_text().splitlines()] == ["validate", "diff", "sync"]
    assert deck_calls.read_text().count("--select-tag gateway") == 2


def test_terraform_takes_the_file(run: Callable[..., str], tmp_path: Path) -> None:
    """The provider knows every argument, and a misspelt one is named; the entry's fields are for `check`."""
    mirror = os.environ.get("TERRAFORM_PROVIDERS")
    if not mirror or shutil.which("terraform") is None:
        pytest.skip("needs terraform, and a mirror with the provider kevholditch/kong: TERRAFORM_PROVIDERS=/path")
    settings = tmp_path / "terraformrc"
    settings.write_text(f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n')
    folder = shutil.copytree(TERRAFORM, tmp_path / "terraform")
    command = ["terraform", f"-chdir={folder}"]
    environment = {"TF_CLI_CONFIG_FILE": str(settings), "CHECKPOINT_DISABLE": "1"}
    run(*command, "fmt", "-check", **environment)
    run(*command, "init", **environment)
    run(*command, "validate", **environment)
    with_one_wrong(TERRAFORM / "main.tf", folder, "config_json", "config_jsn")

    with pytest.raises(AssertionError, match="config_jsn"):
        run(*command, "validate", **environment)


def test_terraform_has_no_secret() -> None:
    """The header is a reference that Kong resolves, so neither the files nor Terraform's state has it."""
    (entry,) = yaml.safe_load((TERRAFORM / "otlp-tracing.yml").read_text())["plugins"]

    assert entry["config"]["headers"] == ["{vault://env/otlp-header}"]
