"""The resource of a destination's spans: the configuration, then the environment, then the detected attributes.

Nothing in it changes when the sidecar is started again on the same machine (no process id, no random
instance id): spans that waited on disk must keep their resource.

Source: OpenTelemetry specification, resource/sdk.md; semantic conventions 1.44, docs/resource/; the
Kubernetes downward API; kong/pdk/private/node.lua for the node's id.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path

from opentelemetry.sdk.resources import SERVICE_NAME, Resource, get_aggregated_resources

from otlp_tracing import __version__
from otlp_tracing.config.otel_variables import resource_variables
from otlp_tracing.config.settings import Settings

ResourceValue = str | int

_DETECTOR_GROUP = "opentelemetry_resource_detector"
_DETECTORS = ("host", "os", "process")
_KEPT = ("host.", "os.", "process.runtime.")
# The registry's names of architectures, by the machine's own.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm32", "i686": "x86", "ppc64le": "ppc64"}
_CONTAINER_ID = re.compile(r"(?:^|[/:-])([0-9a-f]{64})(?:\.scope)?(?:/|$)")
_POD_UID = re.compile(r"pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_VERSION = re.compile(r"\d+(?:\.\d+)+[\w.+-]*")
_MOST_BYTES = 64 << 10  # of a file under /proc; a container's has a few kilobytes
# Variables by which manifests hand over fields of the downward API; the first that is set counts.
_DOWNWARD: Mapping[str, tuple[str, ...]] = {
    "k8s.pod.name": ("K8S_POD_NAME", "POD_NAME"),
    "k8s.pod.uid": ("K8S_POD_UID", "POD_UID"),
    "k8s.namespace.name": ("K8S_NAMESPACE_NAME", "POD_NAMESPACE"),
    "k8s.node.name": ("K8S_NODE_NAME", "NODE_NAME"),
    "k8s.container.name": ("K8S_CONTAINER_NAME", "CONTAINER_NAME"),
    "k8s.cluster.name": ("K8S_CLUSTER_NAME",),
}
_NAMESPACE_FILE = Path("var/run/secrets/kubernetes.io/serviceaccount/namespace")


def detect(environment: Mapping[str, str], root: Path = Path("/")) -> dict[str, ResourceValue]:
    """Find out where this process runs; once is enough.

    Args:
        environment: of the sidecar.
        root: of the file system.
    """
    return {**_machine(), **_container(root), **_kubernetes(environment, root), **_kong(environment, root)}


def resource_attributes(
    settings: Settings, detected: Mapping[str, ResourceValue], environment: Mapping[str, str]
) -> tuple[tuple[str, ResourceValue], ...]:
    """Return a destination's resource, sorted by name.

    Args:
        settings: of a plugin entry; its `resource_attributes` take precedence.
        detected: by detect().
        environment: of the sidecar.
    """
    attributes: dict[str, ResourceValue] = {
        SERVICE_NAME: "kong",
        "telemetry.distro.name": "otlp-tracing",
        "telemetry.distro.version": __version__,
        **detected,
        **resource_variables(environment)[0],
        **{attribute.key: attribute.value for attribute in settings.resource_attributes},
    }
    return tuple(sorted(attributes.items()))


def _machine() -> dict[str, ResourceValue]:
    points = [point for name in _DETECTORS for point in entry_points(group=_DETECTOR_GROUP, name=name)]
    found = _texts(get_aggregated_resources([point.load()() for point in points], Resource.get_empty()))
    kept = {name: value for name, value in found.items() if name.startswith(_KEPT) and "description" not in name}
    return {
        **kept,
        "host.arch": _ARCHITECTURES.get(kept.get("host.arch", ""), kept.get("host.arch", "")),
        # The CPUs that this process may use: in a cpuset fewer than the machine has. The registry has no name for it.
        "otlp_tracing.cpu.count": len(os.sched_getaffinity(0)),
    }


def _texts(resource: Resource) -> dict[str, str]:
    return {name: str(value) for name, value in resource.attributes.items()}


def _container(root: Path) -> dict[str, str]:
    # The id is in the cgroup's path (version 1), or in the path that the runtime mounts over /etc/hostname (version 2).
    for line in _text(root / "proc/self/cgroup").splitlines():
        if found := _CONTAINER_ID.search(line.rpartition(":")[2]):
            return {"container.id": found[1]}
    for line in _text(root / "proc/self/mountinfo").splitlines():
        fields = line.split(" ")
        if len(fields) > 4 and fields[4] == "/etc/hostname" and (found := _CONTAINER_ID.search(fields[3])):
            return {"container.id": found[1]}
    return {}


def _kubernetes(environment: Mapping[str, str], root: Path) -> dict[str, str]:
    if not environment.get("KUBERNETES_SERVICE_HOST"):
        return {}
    namespace = _text(root / _NAMESPACE_FILE).strip()
    pod_uid = _POD_UID.search(_text(root / "proc/self/cgroup") + _text(root / "proc/self/mountinfo"))
    found = {
        # Kubernetes names a container's host after its pod.
        "k8s.pod.name": environment.get("HOSTNAME", ""),
        "k8s.namespace.name": namespace,
        "k8s.pod.uid": pod_uid[1].replace("_", "-") if pod_uid else "",
    }
    for name, variables in _DOWNWARD.items():
        found[name] = next((environment[one] for one in variables if environment.get(one)), found.get(name, ""))
    return {name: value for name, value in found.items() if value}


def _kong(environment: Mapping[str, str], root: Path) -> dict[str, str]:
    # Kong's images set KONG_VERSION. A data plane keeps its node's id in a file; other nodes draw one at each start.
    prefix = environment.get("KONG_PREFIX") or "/usr/local/kong"
    version = environment.get("KONG_VERSION", "")
    node_id = _text(root / prefix.lstrip("/") / "kong.id").strip()
    return {
        **({"kong.version": version} if _VERSION.fullmatch(version) else {}),
        **({"kong.node.id": node_id} if _UUID.fullmatch(node_id) else {}),
    }


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES).decode(errors="replace")
    except OSError:
        return ""
