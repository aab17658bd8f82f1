"""The shipped files, checked by the tools that know such files."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from absent import absent
from checkout import CHECKOUT
from otlp_tracing.commands.check.command import check
from otlp_tracing_devtools.fake_kong import parse_declaration

KONG_YML = CHECKOUT / "kong" / "kong.yml"
UNIT = CHECKOUT / "kong" / "systemd" / "otlp-tracing.service"
BESIDE_PYTHON = Path(sys.executable).parent
DOCKERFILES = ("Dockerfile.kong", "examples/Dockerfile", "tests/ship/stand_in_kong/Dockerfile")
SHELL = [*CHECKOUT.glob("kong/**/*.sh"), *CHECKOUT.glob("tests/**/*.sh"), CHECKOUT / "tests/ship/stand_in_kong/kong"]


@pytest.fixture
def beside_python() -> Callable[[str], Path]:
    """Give a function that finds a program of the venv."""

    def find(name: str) -> Path:
        if not (BESIDE_PYTHON / name).exists():
            if os.environ.get("CI") and platform.machine() == "x86_64":
                pytest.fail(f"make setup installs {name} on this kind of machine")
            pytest.skip(f"{name} is not there for this kind of machine")
        return BESIDE_PYTHON / name

    return find


def test_hadolint_finds_nothing(beside_python: Callable[[str], Path], run: Callable[..., str]) -> None:
    """Every Dockerfile is clean."""
    assert not run(beside_python("hadolint"), *DOCKERFILES)


def test_shellcheck_finds_nothing(beside_python: Callable[[str], Path], run: Callable[..., str]) -> None:
    """Every shell script is clean."""
    assert len(SHELL) > 5
    assert not run(beside_python("shellcheck"), *SHELL)


def test_deck_accepts_the_declaration(run: Callable[..., str]) -> None:
    """Kong's own tool for declarative files takes kong.yml."""
    if shutil.which("deck") is None:
        absent("needs deck", "deck")

    run("deck", "validate", "--state", KONG_YML)


def test_the_declaration_is_free_of_faults() -> None:
    """Neither `otlp-tracing check` nor the stand-in Kong finds anything in kong.yml."""
    assert check([KONG_YML]) == 0
    parse_declaration(yaml.safe_load(KONG_YML.read_text()))


def test_the_declaration_shows_what_it_should() -> None:
    """Both services are traced, metrics are global, a rule spares health checks, and two routes reject requests."""
    declaration = yaml.safe_load(KONG_YML.read_text())
    routes = [route for service in declaration["services"] for route in service["routes"]]
    on_routes = {entry["name"] for route in routes for entry in route.get("plugins", ())}
    rules = [
        rule
        for service in declaration["services"]
        for entry in service["plugins"]
        for rule in entry["config"]["sampling"].get("rules", ())
    ]

    assert [service["name"] for service in declaration["services"]] == ["user-service", "order-service"]
    assert all(entry["name"] == "otlp-tracing" for service in declaration["services"] for entry in service["plugins"])
    assert [entry["name"] for entry in declaration["plugins"]] == ["prometheus"]
    assert on_routes == {"key-auth", "rate-limiting"}
    assert [(rule["name"], rule["rate"]) for rule in rules] == [("health-checks", 0)]


def test_the_image_says_what_kong_conf_says() -> None:
    """The variables of Dockerfile.kong are the settings of kong.conf; the socket's folder is the entrypoint's."""
    lines = [line.partition(" = ") for line in (CHECKOUT / "kong" / "kong.conf").read_text().splitlines()]
    conf = {name: value for name, _, value in lines if name and not name.startswith("#")}
    dockerfile = (CHECKOUT / "Dockerfile.kong").read_text()

    for name in ("plugins", "pluginserver_names"):
        assert f"KONG_{name.upper()}={conf[name]}" in dockerfile
    # In the image a person cannot correct an option at once; the entrypoint names the prefix.
    continues = "--on-fault continue"
    query = conf["pluginserver_otlp_tracing_query_cmd"]
    assert f'KONG_PLUGINSERVER_OTLP_TRACING_QUERY_CMD="{query} {continues}"' in dockerfile
    # From Kong 3.9 on, `GET /` of the Admin API answers 500 with any start command.
    assert "pluginserver_otlp_tracing_start_cmd" not in conf
    assert "START_CMD" not in dockerfile


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """Every setting is one that systemd knows, a misspelt one is named, and Kong finds its socket."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        absent("needs systemd-analyze", "systemd")
    unit = tmp_path / UNIT.name
    text = UNIT.read_text().replace("/usr/local/otlp-tracing/bin/", f"{BESIDE_PYTHON}/")

    def verify() -> str:
        done = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, check=False)
        return "\n".join(line for line in done.stderr.splitlines() if str(unit) in line)

    unit.write_text(text)
    assert not verify()
    unit.write_text(text.replace("RestartSec=", "RestarSec="))
    assert "RestarSec" in verify()
    start = next(line for line in text.splitlines() if line.startswith("ExecStart="))
    conf = (CHECKOUT / "kong" / "kong.conf").read_text()
    words = start.split()
    socket = Path(words[words.index("--kong-prefix") + 1], words[words.index("--socket-name") + 1])
    assert f"pluginserver_otlp_tracing_socket = {socket}\n" in conf
