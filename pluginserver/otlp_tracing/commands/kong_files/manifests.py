"""KongPlugin and KongClusterPlugin manifests: the entry that each of them has, and the faults around it.

Source: the CustomResourceDefinitions of the Kong Ingress Controller 3.
"""

from __future__ import annotations

from collections.abc import Callable

from otlp_tracing.commands.kong_files.documents import Document, Entry
from otlp_tracing.commands.kong_files.nodes import Node

_KINDS = ("KongClusterPlugin", "KongPlugin")


def add_manifest(document: Document, node: Node, is_wanted: Callable[[str], bool]) -> None:
    """Add the entry of a manifest, or those of a list of objects, to the document.

    Args:
        document: that gets the entries and the faults.
        node: of any Kubernetes object.
        is_wanted: tells from a plugin's name whether its entries are wanted.
    """
    value = node.value
    if "items" in node.fields:
        for one in node.fields["items"][1].items:
            if isinstance(one.value, dict):
                add_manifest(document, one, is_wanted)
    if not is_wanted(str(value.get("plugin"))):
        return
    _metadata_faults(document, node)
    if value.get("kind") not in _KINDS:
        document.add_fault(node.fields.get("kind", (node,))[0], "kind", f"must be one of: {', '.join(_KINDS)}")
        return
    metadata = value.get("metadata")
    name = metadata.get("name", "?") if isinstance(metadata, dict) else "?"
    entry = {"name": value.get("plugin")} | {
        key: one for key, one in value.items() if key not in {"plugin", "kind", "apiVersion", "metadata"}
    }
    document.entries.append(Entry(f"{value['kind']} {name}", entry, node, manifest=value))


def _metadata_faults(document: Document, node: Node) -> None:
    # Kubernetes takes texts alone here, and YAML reads an unquoted `true` or `1` as another type.
    metadata = node.fields["metadata"][1] if "metadata" in node.fields else node
    for kind in ("labels", "annotations"):
        for name, (key, one) in metadata.fields[kind][1].fields.items() if kind in metadata.fields else ():
            if not isinstance(one.value, str):
                document.add_fault(key, f"metadata.{kind}.{name}", "must be a text: put it in quotes")
    patches = node.fields["configPatches"][1].items if "configPatches" in node.fields else ()
    for number, patch in enumerate(patches, 1):
        if "path" in patch.fields and not str(patch.value["path"]).startswith("/"):
            document.add_fault(patch.fields["path"][0], f"configPatches[{number}].path", "must begin with /")
