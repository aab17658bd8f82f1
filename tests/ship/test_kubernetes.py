"""The Kubernetes manifests: built by kustomize, valid for the API of two versions, and held to a policy."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from checkout import CHECKOUT
from misspelling import with_one_wrong
from otlp_tracing.commands.check.command import check
from otlp_tracing.sidecar.live.http.options import page_options
from ship.tools import go_tool, kubernetes_schemas

FOLDER = CHECKOUT / "kong" / "kubernetes"
OVERLAYS = ["dev", "openshift", "prod", "stock"]
KUSTOMIZE = ("sigs.k8s.io/kustomize/kustomize/v5", "v5.7.1")
VALIDATE = ("sigs.k8s.io/kubectl-validate", "v0.0.4")
NEWEST_BUILT_IN = "1.30"  # of kubectl-validate
OLDEST, NEWEST = "1.29", "1.36.3"  # sidecar containers are on since 1.29

Manifest = dict[str, Any]


@pytest.fixture(scope="module", params=OVERLAYS)
def rendered(
    request: pytest.FixtureRequest, tool: Callable[..., Path], run: Callable[..., str], tmp_path_factory: Any
) -> Path:
    """Give each overlay as kustomize builds it, as a file."""
    file: Path = tmp_path_factory.mktemp(request.param) / f"{request.param}.yaml"
    file.write_text(run(tool(lambda: go_tool(*KUSTOMIZE)), "build", FOLDER / "overlays" / request.param))
    return file


@pytest.fixture
def manifests(rendered: Path) -> dict[str, Manifest]:
    """Give an overlay's objects, by kind and name."""
    return {f"{one['kind']}/{one['metadata']['name']}": one for one in yaml.safe_load_all(rendered.read_text())}


@pytest.fixture
def pod(manifests: dict[str, Manifest]) -> Manifest:
    """Give the specification of Kong's pods."""
    specification: Manifest = manifests["Deployment/kong"]["spec"]["template"]["spec"]
    return specification


def containers(pod: Manifest) -> Iterator[Manifest]:
    yield from (*pod["initContainers"], *pod["containers"])


def labels(manifests: dict[str, Manifest]) -> dict[str, str]:
    found: dict[str, str] = manifests["Deployment/kong"]["spec"]["template"]["metadata"]["labels"]
    return found


def test_the_oldest_version_takes_it(rendered: Path, tool: Callable[..., Path], run: Callable[..., str]) -> None:
    """Every object is valid for the first Kubernetes with sidecar containers."""
    run(tool(lambda: go_tool(*VALIDATE)), "--version", OLDEST, rendered)


def test_the_newest_version_takes_it(rendered: Path, tool: Callable[..., Path], run: Callable[..., str]) -> None:
    """Every object is valid for the newest Kubernetes that was there when this was written."""
    schemas = tool(lambda: kubernetes_schemas(NEWEST))
    run(tool(lambda: go_tool(*VALIDATE)), "--version", NEWEST_BUILT_IN, "--local-schemas", schemas, rendered)


def test_everything_is_there(manifests: dict[str, Manifest]) -> None:
    """An overlay has all that a gateway needs; production takes its secret from elsewhere."""
    kinds = {name.partition("/")[0] for name in manifests}

    assert kinds | {"Secret"} == {
        "ConfigMap",
        "Deployment",
        "HorizontalPodAutoscaler",
        "Namespace",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Secret",
        "Service",
        "ServiceAccount",
    }


def test_nobody_is_root(pod: Manifest) -> None:
    """No container runs as root, gains privileges, has capabilities, or writes to its image."""
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"].get("runAsUser") != 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not pod["automountServiceAccountToken"]
    for container in containers(pod):
        context = container["securityContext"]
        assert not context["allowPrivilegeEscalation"]
        assert context["readOnlyRootFilesystem"]
        assert context["capabilities"] == {"drop": ["ALL"]}


def test_everything_is_bounded(pod: Manifest) -> None:
    """Every container has requests and limits, every volume in memory or on the node's disk a size."""
    for container in containers(pod):
        for kind in ("requests", "limits"):
            assert {"cpu", "memory", "ephemeral-storage"} <= set(container["resources"][kind]), container["name"]
    assert all(volume["emptyDir"]["sizeLimit"] for volume in pod["volumes"] if "emptyDir" in volume)


def test_everything_is_probed(pod: Manifest) -> None:
    """Every container has a startup, a liveness and a readiness probe, at a port that it names or with our `probe`."""
    for container in containers(pod):
        ports = {port["name"] for port in container["ports"]}
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            probe = container[kind]
            if "exec" in probe:
                assert probe["exec"]["command"] == ["/usr/local/otlp-tracing/bin/otlp-tracing", "probe"]
            else:
                assert probe["httpGet"]["port"] in ports, (container["name"], kind)


@pytest.mark.parametrize("rendered", ["stock"], indirect=True)
def test_a_stock_kong_finds_the_plugin_server(pod: Manifest, manifests: dict[str, Manifest]) -> None:
    """Kong's own image reads the description and connects to the socket where the container before it has them."""
    (server,) = pod["initContainers"]
    (kong,) = pod["containers"]
    settings = manifests["ConfigMap/kong-settings"]["data"]
    folder = settings["OTLP_TRACING_KONG_PREFIX"]

    assert kong["image"].startswith("kong:")
    assert (server["restartPolicy"], server["args"]) == ("Always", ["serve"])
    assert settings["KONG_PLUGINSERVER_OTLP_TRACING_SOCKET"] == f"{folder}/plugin-server.sock"
    assert settings["KONG_PLUGINSERVER_OTLP_TRACING_QUERY_CMD"] == f"cat {folder}/description.json"
    assert settings["OTLP_TRACING_SIDECAR"] == "embedded"
    assert settings["OTLP_TRACING_WORKERS"] == settings["KONG_NGINX_WORKER_PROCESSES"]
    for container in (server, kong):
        folders = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert folder.startswith(folders["tracing-socket"] + "/")


@pytest.mark.parametrize("rendered", ["openshift"], indirect=True)
def test_no_user_is_fixed_on_openshift(pod: Manifest) -> None:
    """The namespace's own user and group run both containers."""
    assert pod["securityContext"].keys() == {"runAsNonRoot", "seccompProfile"}


@pytest.mark.parametrize("rendered", ["dev", "openshift", "prod"], indirect=True)
def test_the_sidecar_is_one(pod: Manifest, manifests: dict[str, Manifest]) -> None:
    """The sidecar starts before Kong and ends after it, and shares its socket's folder and its user with it."""
    (sidecar,) = pod["initContainers"]
    (kong,) = pod["containers"]
    settings = manifests["ConfigMap/kong-settings"]["data"]
    mounts = [{mount["name"]: mount["mountPath"] for mount in one["volumeMounts"]} for one in (sidecar, kong)]

    assert sidecar["restartPolicy"] == "Always"
    assert settings["OTLP_TRACING_SIDECAR"] == settings["OTLP_TRACING_LISTEN"]
    for folders in mounts:
        assert settings["OTLP_TRACING_LISTEN"].startswith(folders["tracing-socket"] + "/")
    assert settings["OTLP_TRACING_SPOOL"].startswith(mounts[0]["tracing-spool"] + "/")
    assert settings["KONG_PREFIX"] == mounts[1]["prefix"]
    assert "runAsUser" not in {**sidecar["securityContext"], **kong["securityContext"]}


def test_the_page_is_there_with_a_token(pod: Manifest) -> None:
    """At the address that the sidecar listens on the live page is off, and on with a token, which a secret may have."""
    (sidecar,) = pod["initContainers"]
    variables = {variable["name"]: variable for variable in sidecar["env"]}
    host, _, port = variables["OTLP_TRACING_HTTP"]["value"].rpartition(":")
    token = variables["OTLP_TRACING_PAGE_TOKEN"]["valueFrom"]["secretKeyRef"]

    assert port == "9464"
    assert token == {"name": "kong-secrets", "key": "OTLP_TRACING_PAGE_TOKEN", "optional": True}
    assert not page_options("auto", host, {}).is_on
    assert page_options("auto", host, {"OTLP_TRACING_PAGE_TOKEN": "sixteen-or-more-characters"}).is_on


def test_selectors_meet_the_pods(manifests: dict[str, Manifest]) -> None:
    """Services, budget, policy and deployment all mean Kong's pods, and ports that these have."""
    wanted = {"app.kubernetes.io/name": "kong"}
    kongs = manifests["Deployment/kong"]["spec"]["template"]["spec"]
    # Before Kubernetes 1.32 a Service or a policy does not find the name of a sidecar container's port.
    ports: set[str | int] = {port["name"] for one in kongs["containers"] for port in one["ports"]}
    ports |= {port["containerPort"] for one in containers(kongs) for port in one["ports"]}

    assert labels(manifests) == wanted
    assert manifests["Deployment/kong"]["spec"]["selector"]["matchLabels"] == wanted
    assert manifests["PodDisruptionBudget/kong"]["spec"]["selector"]["matchLabels"] == wanted
    assert manifests["NetworkPolicy/kong"]["spec"]["podSelector"]["matchLabels"] == wanted
    for name in ("Service/kong", "Service/kong-metrics"):
        assert manifests[name]["spec"]["selector"] == wanted
        assert {port["targetPort"] for port in manifests[name]["spec"]["ports"]} <= ports
    for rule in manifests["NetworkPolicy/kong"]["spec"]["ingress"]:
        assert {port["port"] for port in rule["ports"]} <= ports
    assert manifests["HorizontalPodAutoscaler/kong"]["spec"]["scaleTargetRef"]["name"] == "kong"


def test_prometheus_finds_the_pods(manifests: dict[str, Manifest], pod: Manifest) -> None:
    """prometheus/kubernetes.yml keeps the pods by the label, namespace and port names that they have."""
    scraped = yaml.safe_load((CHECKOUT / "kong" / "prometheus" / "kubernetes.yml").read_text())["scrape_configs"]
    jobs = {job["job_name"]: job for job in scraped if "kubernetes_sd_configs" in job}
    ports = {port["containerPort"]: port["name"] for one in containers(pod) for port in one["ports"]}
    (label,) = (f"{name}={value}" for name, value in labels(manifests).items())

    assert {name: job["relabel_configs"][0]["regex"] for name, job in jobs.items()} == {
        "kong": ports[8100],
        "otlp-tracing": ports[9464],
    }
    for job in jobs.values():
        (found,) = job["kubernetes_sd_configs"]
        assert found["namespaces"] == {"names": [manifests["Deployment/kong"]["metadata"]["namespace"]]}
        assert found["selectors"] == [{"role": "pod", "label": label}]


def test_the_admin_api_stays_in_the_pod(pod: Manifest, manifests: dict[str, Manifest]) -> None:
    """No port, service or policy leads to the Admin API."""
    assert manifests["ConfigMap/kong-settings"]["data"]["KONG_ADMIN_LISTEN"].startswith("127.0.0.1:")
    assert "8001" not in json.dumps([pod, *(one for name, one in manifests.items() if "Service" in name)])


def test_the_declaration_is_kongs_with_other_addresses() -> None:
    """The cluster's kong.yml equals kong/kong.yml, but for addresses and the header, and has no faults."""
    here = (CHECKOUT / "kong" / "kong.yml").read_text()
    there = FOLDER / "base" / "kong.yml"
    back = there.read_text().replace('"{vault://env/otlp-header}"', '"x-api-key: your-api-key"')
    for name, namespace in (("user-service", "shop"), ("order-service", "shop"), ("otel-collector", "observability")):
        back = back.replace(f"{name}.{namespace}:", f"{name}:")

    assert yaml.safe_load(back) == yaml.safe_load(here)
    assert check([there]) == 0


def test_a_wrong_manifest_is_refused(
    rendered: Path, tool: Callable[..., Path], run: Callable[..., str], tmp_path: Path
) -> None:
    """The validation would find a field that is misspelt."""
    wrong = with_one_wrong(rendered, tmp_path, "periodSeconds", "periodSecond")

    with pytest.raises(AssertionError, match="periodSecond"):
        run(tool(lambda: go_tool(*VALIDATE)), "--version", OLDEST, wrong)
