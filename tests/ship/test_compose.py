"""The compose files, loaded as docker compose loads them: every named host exists and listens."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from checkout import CHECKOUT
from ship.tools import compose_config

KONG = CHECKOUT / "kong"
SETS = {
    "DB-less": ["compose.yml"],
    "stock Kong": ["compose.yml", "compose.stock.yml"],
    "PostgreSQL": ["compose.yml", "compose.postgres.yml"],
    "production": ["compose.yml", "compose.prod.yml"],
    "production with PostgreSQL": ["compose.yml", "compose.postgres.yml", "compose.prod.yml"],
}
IMAGES = {
    "KONG_TRACING_IMAGE": "registry.example/kong:1",
    "SIDECAR_IMAGE": "registry.example/sidecar:1",
    "SHOP_IMAGE": "registry.example/shop:1",
}
CHECKED_BY_THEIR_IMAGE = {"kong", "sidecar", "otlp-tracing"}  # HEALTHCHECK in Dockerfile.kong, and in Kong's own
SECRET = re.compile(r"PASSWORD|TOKEN|SECRET|HEADER")

Project = dict[str, Any]


@pytest.fixture(scope="module", params=SETS)
def project(request: pytest.FixtureRequest, tool: Callable[..., Path], run: Callable[..., str]) -> Project:
    """Give each set of files, put together as docker compose does."""
    files = [KONG / name for name in SETS[request.param]]
    loaded: Project = json.loads(run(tool(compose_config), *files, **IMAGES))
    return loaded


@pytest.fixture
def production(project: Project) -> Project:
    """Give the sets for production."""
    if "sidecar" not in project["services"]:
        pytest.skip("not for production")
    return project


def services(project: Project) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from project["services"].items()


def listens_at(service: Mapping[str, Any]) -> set[int]:
    published = {port["target"] for port in service.get("ports", ())}
    return published | {int(port) for port in service.get("expose", ())}


def addresses(project: Project) -> Iterator[tuple[str, str, int]]:
    """Yield the calling service, the called service, and the port."""
    for name, service in services(project):
        for value in (*(service.get("environment") or {}).values(), *(service.get("command") or ())):
            for host, port in re.findall(r"(?:^|//)([a-z][a-z-]+):(\d+)", value or ""):
                yield name, host, int(port)
    declaration = yaml.safe_load((KONG / "kong.yml").read_text())
    for upstream in declaration["services"]:
        urls = [upstream["url"], *(entry["config"].get("endpoint") for entry in upstream["plugins"])]
        for url in map(urlsplit, urls):
            assert url.hostname
            assert url.port
            yield "kong", url.hostname, url.port


def test_every_image_has_a_version(project: Project) -> None:
    """No image of others is taken as whatever is newest today."""
    taken = {service["image"] for _, service in services(project) if "build" not in service}
    ours = {"kong-otlp-tracing:latest", "otlp-tracing-server:latest"}  # built by the same files

    assert all(re.search(r":v?\d+(\.\d+)*$", image) for image in taken - ours), taken


def test_what_is_mounted_or_built_is_there(project: Project) -> None:
    """Every file and folder that the files name is in the checkout, but for secrets."""
    named = {
        Path(mount["source"])
        for _, service in services(project)
        for mount in service.get("volumes", ())
        if mount["type"] == "bind"
    }
    for _, service in services(project):
        if build := service.get("build"):
            named.add(Path(build["context"], build["dockerfile"]))

    assert named >= {KONG / "kong.yml"}
    assert not [path for path in named if not path.exists()]


def test_who_is_called_listens(project: Project) -> None:
    """Every address in an environment and in kong.yml is a service on a network of the caller's, at a port of its."""
    for caller, host, port in addresses(project):
        assert host in project["services"], (caller, host)
        called, calling = project["services"][host], project["services"][caller]
        kongs = {int(value.rpartition(":")[2]) for value in kong_listeners(project)} if host == "kong" else set()
        assert port in listens_at(called) | kongs, (caller, host, port)
        assert set(called["networks"]) & set(calling["networks"]), (caller, host)


def kong_listeners(project: Project) -> list[str]:
    environment = project["services"]["kong"]["environment"]
    listeners = [environment[f"KONG_{name}_LISTEN"] for name in ("PROXY", "STATUS", "ADMIN")]
    return [listener for listener in listeners if not listener.startswith("127.")]


def test_who_is_waited_for_says_when_it_is_ready(project: Project) -> None:
    """A service that another waits for as healthy has a health check; one waited for to end, ends."""
    for name, service in services(project):
        for other, rule in (service.get("depends_on") or {}).items():
            awaited = project["services"][other]
            if rule["condition"] == "service_healthy":
                assert "healthcheck" in awaited or other in CHECKED_BY_THEIR_IMAGE, (name, other)
            if rule["condition"] == "service_completed_successfully":
                assert awaited["restart"] == "on-failure", (name, other)


def test_only_the_gateway_is_open_to_the_world(project: Project) -> None:
    """Ports but the proxy's are published on loopback; the Admin API's is not published at all."""
    for name, service in services(project):
        for port in service.get("ports", ()):
            assert port["target"] != 8001
            assert (name, port["target"]) == ("kong", 8000) or port["host_ip"] == "127.0.0.1", (name, port)


def test_no_secret_stands_in_the_environment(project: Project) -> None:
    """Passwords and the collector's header come from files."""
    for name, service in services(project):
        for variable, value in (service.get("environment") or {}).items():
            if SECRET.search(variable):
                assert variable.endswith("_FILE"), (name, variable)
                assert Path(value).name in {secret["source"] for secret in service["secrets"]}, (name, variable)


def test_without_the_admin_api_kong_reads_the_file(project: Project) -> None:
    """Kong without a database gets kong.yml; one with a database is set up by a script, after the migrations."""
    kong = project["services"]["kong"]
    if kong["environment"]["KONG_DATABASE"] == "off":
        assert kong["environment"]["KONG_DECLARATIVE_CONFIG"] in {mount["target"] for mount in kong["volumes"]}
    else:
        assert kong["depends_on"]["kong-migrations"]["condition"] == "service_completed_successfully"
        assert project["services"]["kong-setup"]["depends_on"]["kong"]["condition"] == "service_healthy"


def test_production_has_limits(production: Project) -> None:
    """Everything that stays has limits of memory and CPU, bounded logs, and is started again."""
    for name, service in services(production):
        if service.get("restart") == "on-failure" or name == "kong-database":
            continue
        limits = service["deploy"]["resources"]["limits"]
        assert {"cpus", "memory"} <= set(limits), name
        assert service.get("restart") == "unless-stopped", name
        if name != "otel-collector":
            assert service["logging"]["options"]["max-size"], name


def test_production_kong_and_sidecar_belong_together(production: Project) -> None:
    """Replicas of Kong share the sidecar's socket, as the same user, and none of them can write to its own image."""
    kong, sidecar = production["services"]["kong"], production["services"]["sidecar"]
    socket = Path(kong["environment"]["OTLP_TRACING_SIDECAR"])
    shared = {
        mount["source"]
        for service in (kong, sidecar)
        for mount in service["volumes"]
        if mount["target"] == str(socket.parent)
    }

    assert shared == {"tracing-socket"}
    assert kong["user"] == sidecar["user"] != "0"
    assert kong["deploy"]["replicas"] > 1
    for service in (kong, sidecar):
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
    assert "build" not in kong
