"""Every recorded log record, Kong 3.9.1 and 3.4.2, gives the spans that were written by hand for it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from checkout import TESTDATA
from otlp_tracing.context import RequestContext
from otlp_tracing.sidecar.ingest.request_record import decode
from otlp_tracing.sidecar.otlp.encoder import encode_span
from otlp_tracing.sidecar.spans.assemble import assemble
from otlp_tracing.sidecar.spans.model import SpanRecord
from spans_of import rules_of

RECORDS = sorted((TESTDATA / "transcripts").rglob("*.serialize.json"))
CONTEXT = RequestContext(b"\x01" * 16, b"\x02" * 8, b"\x03" * 8, None, 1, "")


def shown(span: SpanRecord) -> dict[str, Any]:
    return {
        "name": span.name,
        "kind": span.kind,
        "start_unix_ns": span.start_unix_ns,
        "end_unix_ns": span.end_unix_ns,
        "status": "error" if span.is_error else "unset",
        "attributes": dict(sorted(span.attributes.items())),
    }


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: str(path.relative_to(TESTDATA / "transcripts")))
def test_a_recorded_request_gives_the_expected_spans(path: Path) -> None:
    """The spans of a request are those of the file that a person wrote from the specification."""
    relative = path.relative_to(TESTDATA / "transcripts").with_name(path.name.replace(".serialize.json", ".yaml"))
    expected = yaml.safe_load((TESTDATA / "expected_spans" / relative).read_text())

    spans = assemble(decode(path.read_bytes()), CONTEXT, rules_of())

    assert [shown(span) for span in spans] == expected["spans"]


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: str(path.relative_to(TESTDATA / "transcripts")))
def test_a_span_with_shared_attributes_is_encoded_as_one_without(path: Path) -> None:
    """The shared attributes are the first ones, so their bytes, made once, are the begin of each span's."""
    rules = rules_of(span={"semconv": "dup"})
    for _ in range(2):
        for span in assemble(decode(path.read_bytes()), CONTEXT, rules):
            assert encode_span(span) == encode_span(dataclasses.replace(span, shared=None))


def test_every_record_is_there() -> None:
    """The recordings are not lost on the way: 31 of Kong 3.9.1, 8 of 3.4.2."""
    assert len(RECORDS) == 39
