"""Promises of sidecar/spans/resource.py."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otlp_tracing.config.settings import Settings
from otlp_tracing.sidecar.otlp.encoder import encode_resource, request
from otlp_tracing.sidecar.spans.resource import ResourceValue, detect, resource_attributes
from semconv import attribute_faults

CONTAINER = "0123456789abcdef" * 4
POD = "11111111-2222-3333-4444-555555555555"
NODE = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"


def resource(root: Path, environment: dict[str, str] | None = None, **config: Any) -> dict[str, ResourceValue]:
    variables = environment or {}
    found = dict(resource_attributes(Settings.from_config(config), detect(variables, root), variables))
    assert list(attribute_faults(found)) == []
    return found


def put(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_the_machine_is_in_it(tmp_path: Path) -> None:
    """Host, system and runtime, in the registry's words; nothing that changes with a new start."""
    found = resource(tmp_path)

    assert {"host.name", "host.arch", "os.type", "process.runtime.name", "process.runtime.version"} <= found.keys()
    assert found["host.arch"] != "x86_64"
    assert not {"process.pid", "service.instance.id", "container.id", "k8s.pod.name"} & found.keys()


def test_the_number_of_processors_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that may be used, as an integer; OTLP carries it as one."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2, 5})
    found = resource(tmp_path)
    sent = ExportTraceServiceRequest.FromString(request(encode_resource(found), []))

    assert found["otlp_tracing.cpu.count"] == 3
    values = {one.key: one.value.int_value for one in sent.resource_spans[0].resource.attributes}
    assert values["otlp_tracing.cpu.count"] == 3


def test_the_configuration_goes_before_the_environment(tmp_path: Path) -> None:
    """And that before the detected attributes."""
    variables = {
        "OTEL_RESOURCE_ATTRIBUTES": "host.name=env,os.type=linux,service.name=one",
        "OTEL_SERVICE_NAME": "two",
    }
    found = resource(tmp_path, variables, resource_attributes=[{"key": "host.name", "value": "own"}])

    assert (found["host.name"], found["os.type"], found["service.name"]) == ("own", "linux", "two")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("cgroup", f"12:pids:/docker/{CONTAINER}\n"),
        ("cgroup", f"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{CONTAINER}.scope\n"),
        (
            "mountinfo",
            f"1 2 0:1 /var/lib/docker/containers/{CONTAINER}/hostname /etc/hostname rw - ext4 /dev/sda rw\n",
        ),
    ],
)
def test_a_container_is_known_by_its_id(tmp_path: Path, file: str, text: str) -> None:
    """From the cgroup's path, or from the runtime's mounts."""
    put(tmp_path, f"proc/self/{file}", text)

    assert resource(tmp_path)["container.id"] == CONTAINER


def test_a_pod_is_known_from_the_downward_api(tmp_path: Path) -> None:
    """Variables first, then the files of every pod; outside of Kubernetes neither counts."""
    put(tmp_path, "proc/self/cgroup", f"0::/kubepods/burstable/pod{POD}/x\n")
    put(tmp_path, "var/run/secrets/kubernetes.io/serviceaccount/namespace", "edge\n")
    pod = {"HOSTNAME": "kong-7d-x", "NODE_NAME": "node-1"}
    found = resource(tmp_path, {"KUBERNETES_SERVICE_HOST": "10.0.0.1", **pod})
    named = resource(tmp_path, {"KUBERNETES_SERVICE_HOST": "10.0.0.1", **pod, "POD_NAMESPACE": "own"})

    assert {name: value for name, value in found.items() if name.startswith("k8s.")} == {
        "k8s.pod.name": "kong-7d-x",
        "k8s.pod.uid": POD,
        "k8s.namespace.name": "edge",
        "k8s.node.name": "node-1",
    }
    assert named["k8s.namespace.name"] == "own"
    assert not [name for name in resource(tmp_path, pod) if name.startswith("k8s.")]


def test_kong_is_known_where_it_says_who_it_is(tmp_path: Path) -> None:
    """Its images name the version, a data plane keeps its id; nonsense is passed over."""
    put(tmp_path, "opt/k/kong.id", NODE)
    found = resource(tmp_path, {"KONG_VERSION": "3.9.1", "KONG_PREFIX": "/opt/k"})

    assert (found["kong.version"], found["kong.node.id"]) == ("3.9.1", NODE)
    assert "kong.version" not in resource(tmp_path, {"KONG_VERSION": "latest"})
