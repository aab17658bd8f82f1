"""Promises of commands/kong_files/manifests.py."""

from __future__ import annotations

import pytest

from checkout import CHECKOUT
from otlp_tracing.commands.kong_files.documents import Document
from otlp_tracing.commands.kong_files.manifests import add_manifest
from otlp_tracing.commands.kong_files.yaml_parser import read_yaml


def document_of(text: str) -> Document:
    document = Document()
    for node in read_yaml(text.encode()):
        add_manifest(document, node, "otlp-tracing".__eq__)
    return document


@pytest.mark.parametrize(
    ("right", "wrong", "field"),
    [
        ("kind: KongClusterPlugin", "kind: KongClusterPlgin", "kind: must be one of: KongClusterPlugin, KongPlugin"),
        ("kind: KongClusterPlugin\n", "", "kind: must be one of"),
        ('global: "true"', "global: true", "metadata.labels.global: must be a text: put it in quotes"),
        ("path: /headers", "path: headers", "configPatches[1].path: must begin with /"),
    ],
)
def test_a_manifest_around_the_entry_is_checked(right: str, wrong: str, field: str) -> None:
    """Each fault for which the cluster refuses the object, or takes it for no plugin, is named."""
    text = (CHECKOUT / "kong" / "ingress-controller" / "plugin.yaml").read_text()
    assert right in text
    ((_, fault),) = document_of(text.replace(right, wrong, 1)).faults

    assert field in str(fault)


def test_the_objects_of_a_list_are_looked_at() -> None:
    """Each plugin of a list is an entry; other plugins are passed over."""
    document = document_of(
        "kind: List\nitems:\n- {kind: KongPlugin, metadata: {name: a}, plugin: otlp-tracing}\n"
        "- {kind: KongPlugin, plugin: cors}\n- {kind: KongClusterPlugin, metadata: {name: b}, plugin: otlp-tracing}\n"
    )

    assert [entry.place for entry in document.entries] == ["KongPlugin a", "KongClusterPlugin b"]
    assert document.faults == []
