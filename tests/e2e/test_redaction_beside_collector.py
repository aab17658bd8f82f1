"""Our redaction beside the Collector's redaction processor: the same spans through both, and the table of it.

`UPDATE_DOCS=1 pytest tests/e2e/test_redaction_beside_collector.py` writes the table in docs/redaction.md anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest

from checkout import DOCS
from documents import hold
from e2e.collectors import Collector, CollectorMissing, collector_binary
from e2e.waiting import wait_for
from otlp_tracing.config.settings import Settings
from otlp_tracing.sidecar.otlp.encoder import encode_resource, encode_span, request
from otlp_tracing.sidecar.redaction.redactor import Redactor
from otlp_tracing.sidecar.spans.model import AttributeValue, SpanRecord

_DOCUMENT = DOCS / "redaction.md"
_BUILDER = Path(__file__).with_name("collector") / "redaction.yaml"
_SECONDS = 20.0
_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_KEY = "0123456789abcdef0123456789abcdef"
_JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"

# The processor's README's patterns, and one for addresses such as people write.
_VALUES = [r"4[0-9]{12}(?:[0-9]{3})?", r"(5[1-5][0-9]{14})", r"[\w.+-]+@[\w-]+\.[\w.]+"]
_BY_PATTERNS: Mapping[str, Any] = {
    "allow_all_keys": True,
    "blocked_key_patterns": [".*token.*", ".*api_key.*"],
    "blocked_values": _VALUES,
    "summary": "silent",
}
_PROCESSORS: Mapping[str, Mapping[str, Any]] = {
    "mask": _BY_PATTERNS,
    "hash": {**_BY_PATTERNS, "hash_function": "hmac-sha256", "hmac_key": _KEY},
}
_OURS: Mapping[str, Mapping[str, Any]] = {"mask": {}, "hash": {"mode": "hash", "hash_key": _KEY}}

_CASES: tuple[tuple[str, str, str, AttributeValue], ...] = (
    ("a sensitive parameter", "mask", "url.query", "token=abc&q=shoes"),
    ("a header with a sensitive name", "mask", "http.request.header.x-api-key", ["hunter2"]),
    ("a name with the word inside another", "mask", "http.request.header.x-tokenizer", ["fast"]),
    ("a cookie", "mask", "http.request.header.cookie", ["session=abc"]),
    ("an assignment in a text", "mask", "http.request.header.x-error", ["login failed: password=hunter2"]),
    ("user and password in a URL", "mask", "url.full", "https://alice:secret@host/a"),
    ("an e-mail address", "mask", "user_agent.original", "agent/1.0 (ops@example.com)"),
    ("the same, percent-encoded in a path", "mask", "url.path", "/users/ops%40example.com"),
    ("a picture's name", "mask", "url.path", "/static/logo@2x.png"),
    ("a card's number", "mask", "url.path", "/pay/4111111111111111"),
    ("the same in groups", "mask", "http.request.header.x-note", ["card 4111 1111 1111 1111"]),
    ("an order's number, no card by Luhn", "mask", "url.path", "/orders/4111111111111112"),
    ("a longer number that begins like a card's", "mask", "url.path", "/orders/411111111111111123456"),
    ("a JSON Web Token", "mask", "http.request.header.x-note", [f"got {_JWT}"]),
    ("GitHub's token", "mask", "url.query", "q=ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hJ6"),
    ("a number, not a text", "mask", "http.request.size", 4111111111111111),
    ("hash of an address", "hash", "user_agent.original", "ops@example.com"),
    ("the same, encoded and in capitals", "hash", "url.path", "/users/OPS%40example.com"),
)


class RedactingCollector(Collector):
    """A collector with the redaction processor before its file."""

    def __init__(self, binary: Path, folder: Path, processor: Mapping[str, Any]) -> None:
        self._processor = processor
        super().__init__(binary, folder)

    def _configuration(self) -> dict[str, object]:
        configuration: dict[str, Any] = super()._configuration()
        configuration["processors"]["redaction"] = dict(self._processor)
        configuration["service"]["pipelines"]["traces"]["processors"].insert(0, "redaction")
        return configuration


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> list[AttributeValue | None]:
    """Return each case as the processor leaves it."""
    try:
        binary = collector_binary(_BUILDER)
    except CollectorMissing as reason:
        pytest.skip(f"no OpenTelemetry Collector: {reason}")
    seen: dict[int, Any] = {}
    for mode, processor in _PROCESSORS.items():
        with RedactingCollector(binary, tmp_path_factory.mktemp(mode), processor) as collector:
            numbers = [number for number, case in enumerate(_CASES) if case[1] == mode]
            _send(collector.endpoint, [_span(number) for number in numbers])
            spans = wait_for(
                lambda: found if len(found := collector.spans()) == len(numbers) else None,  # noqa: B023  # called here
                _SECONDS,
                "the spans",
            )
            for span in spans or ():
                number = int(span.span_id, 16) - 1
                seen[number] = span.attributes.get(_CASES[number][2])
    return [seen[number] for number in range(len(_CASES))]


def test_what_each_does_with_the_same_input(theirs: list[AttributeValue | None]) -> None:
    """The table in the documentation equals the results."""
    hold(_DOCUMENT, "collector", "\n".join(_table(theirs)))


def test_only_what_is_no_secret_is_the_same(theirs: list[AttributeValue | None]) -> None:
    """Whatever is one by its name or its form leaves us changed, also where it leaves the processor as it came."""
    missed = {case[0] for case, left in zip(_CASES, theirs, strict=True) if left == case[3]}
    ours_same = {case[0] for number, case in enumerate(_CASES) if _ours(number) == case[3]}

    assert {"a sensitive parameter", "a cookie", "user and password in a URL", "a JSON Web Token"} <= missed
    assert ours_same == {
        "a name with the word inside another",
        "a picture's name",
        "an order's number, no card by Luhn",
        "a longer number that begins like a card's",
        "a number, not a text",
    }


def _span(number: int) -> SpanRecord:
    _, _, attribute, value = _CASES[number]
    span_id = (number + 1).to_bytes(8, "big")
    return SpanRecord(b"t" * 16, span_id, None, "GET", "server", 1, 2, {attribute: value}, 1, "", is_error=False)


def _send(endpoint: str, spans: list[SpanRecord]) -> None:
    with grpc.insecure_channel(endpoint.removeprefix("http://")) as channel:
        export = channel.unary_unary(_EXPORT, request_serializer=bytes, response_deserializer=bytes)
        export(request(encode_resource({"service.name": "kong"}), map(encode_span, spans)), timeout=_SECONDS)


def _ours(number: int) -> AttributeValue | None:
    redactor = Redactor(Settings.from_config({"redaction": _OURS[_CASES[number][1]]}).redaction)
    return redactor.redact(_span(number), lambda *_: None).attributes.get(_CASES[number][2])


def _table(theirs: list[AttributeValue | None]) -> Iterator[str]:
    yield "| | attribute | came as | left the processor as | leaves us as |"
    yield "|---|---|---|---|---|"
    for number, (what, mode, attribute, value) in enumerate(_CASES):
        shown = [_cell(one) for one in (value, theirs[number], _ours(number))]
        yield f"| {what}{' (hash)' if mode == 'hash' else ''} | `{attribute}` | {' | '.join(shown)} |"


def _cell(value: AttributeValue | None) -> str:
    text = ", ".join(value) if isinstance(value, list) else str(value)
    return f"`{text}`" if len(text) <= 40 else f"`{text[:24]}…{text[-8:]}`"
