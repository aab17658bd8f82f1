"""References to the environment in a plugin's configuration."""

from __future__ import annotations

from typing import Any

import pytest

from otlp_tracing_devtools.fake_kong.vault import resolve

_SECRET = {"type": "string", "referenceable": True}


def test_a_whole_value_is_resolved_and_its_reference_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the schema allows it, the variable replaces the reference; a reference inside a longer value stays as
    written.
    """
    monkeypatch.setenv("OTLP_HEADER", "x-api-key: k")
    monkeypatch.delenv("ABSENT", raising=False)
    lines = {"type": "array", "elements": _SECRET}
    inner: dict[str, Any] = {"type": "record", "fields": [{"key": _SECRET}]}
    fields: list[dict[str, dict[str, Any]]] = [
        {"headers": lines},
        {"name": {"type": "string"}},
        {"tls": inner},
        {"unset": {"type": "string"}},
    ]
    reference = "{vault://env/otlp-header}"
    config = {"headers": [reference, f"a: {reference}"], "name": reference, "tls": {"key": "{vault://env/absent}"}}

    assert resolve(fields, config) == {
        "headers": ["x-api-key: k", f"a: {reference}"],
        "name": reference,
        "tls": {"key": "", "$refs": {"key": "{vault://env/absent}"}},
        "$refs": {"headers": [reference]},
    }
