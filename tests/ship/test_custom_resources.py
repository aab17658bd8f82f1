"""Files for the operators of others, and for Kong's chart: valid for the definitions, and consistent with the image."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from checkout import CHECKOUT
from otlp_tracing.commands.check.command import check
from ship.test_kubernetes import NEWEST_BUILT_IN, VALIDATE
from ship.tools import go_tool, resource_definitions

KONG = CHECKOUT / "kong"
HELM = ("helm.sh/helm/v3/cmd/helm", "v3.18.6")
FILES = [
    *sorted((KONG / "prometheus" / "operator").glob("*.yaml")),
    *sorted((KONG / "ingress-controller").glob("*.yaml")),
    *sorted((KONG / "operator").glob("*.yaml")),
]
VALUES = sorted((KONG / "helm").glob("values-*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_definition_takes_it(
    file: Path, tool: Callable[..., Path], run: Callable[..., str], tmp_path: Path
) -> None:
    """Every field is one that its operator knows, and a misspelt one would be found."""
    command = [tool(lambda: go_tool(*VALIDATE)), "--version", NEWEST_BUILT_IN]
    command += ["--local-crds", tool(resource_definitions)]
    run(*command, file)
    wrong = tmp_path / file.name
    wrong.write_text(file.read_text().replace("\nspec:", "\nspce:").replace("\nplugin:", "\nplugni:"))

    with pytest.raises(AssertionError, match=r"spce|plugni"):
        run(*command, wrong)


def test_check_finds_no_fault_in_the_entries() -> None:
    """Neither in a KongPlugin nor in a KongClusterPlugin."""
    assert check(sorted((KONG / "ingress-controller").glob("*.yaml"))) == 0


def stock_settings() -> dict[str, dict[str, str]]:
    """Return the settings of every form of a stock Kong, by file; the names as in kong.conf."""
    compose = (KONG / "compose.stock.yml").read_text().replace("!reset", "").replace("!override", "")
    (dataplane,) = yaml.safe_load_all((KONG / "operator" / "dataplane.yaml").read_text())
    (proxy,) = dataplane["spec"]["deployment"]["podTemplateSpec"]["spec"]["containers"]
    overlay = yaml.safe_load((KONG / "kubernetes" / "overlays" / "stock" / "kustomization.yaml").read_text())
    return {
        "compose": _plain(yaml.safe_load(compose)["services"]["kong"]["environment"]),
        "helm": yaml.safe_load((KONG / "helm" / "values-stock.yaml").read_text())["env"],
        "operator": _plain({one["name"]: one["value"] for one in proxy["env"]}),
        "kustomize": _plain(yaml.safe_load(overlay["patches"][0]["patch"])["data"]),
    }


def _plain(environment: dict[str, Any]) -> dict[str, str]:
    return {name.removeprefix("KONG_").lower(): value for name, value in environment.items()}


@pytest.mark.parametrize("form", ["compose", "helm", "operator", "kustomize"])
def test_a_stock_kong_has_the_same_settings_everywhere(form: str) -> None:
    """The socket and the description are in one folder, and Kong does not start the server."""
    settings = stock_settings()[form]
    socket = Path(settings["pluginserver_otlp_tracing_socket"])

    assert settings["pluginserver_names"] == "otlp-tracing"
    assert socket.name == "plugin-server.sock"
    assert settings["pluginserver_otlp_tracing_query_cmd"] == f"cat {socket.parent}/description.json"
    # From Kong 3.9 on, `GET /` of the Admin API answers 500 with any start command.
    assert "pluginserver_otlp_tracing_start_cmd" not in settings


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.name)
def test_the_chart_takes_the_values(
    values: Path, tool: Callable[..., Path], run: Callable[..., str], tmp_path: Path
) -> None:
    """Kong's chart renders them, the objects are valid, and Kong's container has the plugin."""
    chart = os.environ.get("KONG_CHART")
    if not chart:
        pytest.skip("needs Kong's chart: KONG_CHART=/path/to/charts/kong")
    rendered = tmp_path / "rendered.yaml"
    rendered.write_text(
        run(tool(lambda: go_tool(*HELM)), "template", "kong", chart, "--skip-tests", "--values", values)
    )
    run(tool(lambda: go_tool(*VALIDATE)), "--version", NEWEST_BUILT_IN, rendered)
    deployment = next(one for one in yaml.safe_load_all(rendered.read_text()) if one["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    proxy = next(one for one in pod["containers"] if one["name"] == "proxy")
    environment = {one["name"]: one.get("value") for one in proxy["env"]}

    assert "otlp-tracing" in environment["KONG_PLUGINS"].split(",")
    assert proxy["readinessProbe"]["httpGet"]["path"] == "/status/ready"
    if values.name == "values-stock.yaml":
        server = next(one for one in pod["initContainers"] if one["name"] == "otlp-tracing")
        assert server["restartPolicy"] == "Always"
        assert server["securityContext"]["runAsUser"] == proxy["securityContext"]["runAsUser"]
        assert environment["KONG_PLUGINSERVER_OTLP_TRACING_QUERY_CMD"].startswith("cat /run/otlp-tracing/")
