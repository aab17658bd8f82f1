"""Promises of sidecar/spans/gen_ai.py.

The records are those of real Kongs with ai-proxy before a provider that answers as OpenAI does: a chat, a stream, a
call that failed, and a chat whose prompt and answer Kong logs.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from checkout import TESTDATA
from otlp_tracing.context import RequestContext
from otlp_tracing.sidecar.ingest.request_record import RequestRecord, decode
from otlp_tracing.sidecar.spans.assemble import assemble
from otlp_tracing.sidecar.spans.gen_ai import model_call
from otlp_tracing.sidecar.spans.model import SpanRecord
from semconv import faults
from spans_of import CONTEXT, record_of, rules_of, spans_of

KONGS = ["3.8", "3.9"]
CHAT, STREAM, FAILED, WITH_PAYLOAD = range(4)
PROMPT = "hello, I am jane.doe@example.com"


def recorded(kong: str, number: int) -> RequestRecord:
    """Return a record of a real Kong."""
    return decode((TESTDATA / "ai" / f"kong-{kong}.jsonl").read_bytes().splitlines()[number])


def spans(record: RequestRecord, context: RequestContext = CONTEXT, **config: Any) -> list[SpanRecord]:
    """Return the spans of a record, which keep to the conventions."""
    found = assemble(record, context, rules_of(**config))
    assert [fault for span in found for fault in faults(span)] == []
    return found


def of_model(span: SpanRecord) -> dict[str, Any]:
    """Return the attributes of the call of a model."""
    return {name: value for name, value in span.attributes.items() if name.startswith(("gen_ai.", "kong.ai."))}


@pytest.mark.parametrize("kong", KONGS)
def test_the_client_span_has_provider_models_tokens_and_cost(kong: str) -> None:
    """No other span has them, so that no backend counts a token twice."""
    server, client = spans(recorded(kong, CHAT))
    found = of_model(client)
    times = {found.pop("kong.ai.latency_ms"), found.pop("kong.ai.time_per_token_ms")}

    assert all(time > 0 for time in times)
    assert of_model(server) == {}
    assert found == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4",
        "gen_ai.response.model": "gpt-4-0613",
        "gen_ai.usage.input_tokens": 11,
        "gen_ai.usage.output_tokens": 2,
        "kong.ai.cost": 0.00017,
    }


@pytest.mark.parametrize("kong", KONGS)
def test_the_counts_of_a_stream_are_marked_as_estimates(kong: str) -> None:
    """Kong counts words where the provider's own counts come too late."""
    *_, client = spans(recorded(kong, STREAM))

    assert client.attributes["kong.ai.usage.estimated"] is True
    assert client.attributes["gen_ai.usage.input_tokens"] == 2


def test_the_counts_of_a_failed_call_are_marked_as_estimates() -> None:
    """3.9 counts the prompt's words; 3.8 writes no statistics."""
    assert of_model(spans(recorded("3.9", FAILED))[1])["kong.ai.usage.estimated"] is True
    assert of_model(spans(recorded("3.8", FAILED))[1]) == {}


@pytest.mark.parametrize("kong", KONGS)
def test_prompts_and_answers_are_shown_on_request_alone(kong: str) -> None:
    """In the form of the conventions, and each by its own name."""
    record = recorded(kong, WITH_PAYLOAD)

    def shown(*messages: str) -> dict[str, Any]:
        found = of_model(spans(record, capture={"gen_ai_messages": list(messages)})[1])
        return {name: json.loads(text) for name, text in found.items() if name.endswith(".messages")}

    prompt = [{"role": "user", "parts": [{"type": "text", "content": PROMPT}]}]
    answer = [{"role": "assistant", "parts": [{"type": "text", "content": "Hello there, how are you?"}]}]
    assert shown() == {}
    assert PROMPT not in repr(spans(record))
    assert shown("input") == {"gen_ai.input.messages": prompt}
    assert shown("input", "output") == {"gen_ai.input.messages": prompt, "gen_ai.output.messages": answer}


def test_the_old_names_are_for_dup_only() -> None:
    """They have the same values."""
    *_, client = spans(recorded("3.9", CHAT), span={"semconv": "dup"})

    assert client.attributes["gen_ai.system"] == "openai"
    assert client.attributes["gen_ai.usage.prompt_tokens"] == 11
    assert client.attributes["gen_ai.usage.completion_tokens"] == 2


def ai(**part: Any) -> dict[str, Any]:
    """Return the fields of a record with these statistics."""
    return {"ai": {"proxy": part}, "tries": [{}]}


@pytest.mark.parametrize(
    ("provider", "name"),
    [("azure", "azure.ai.openai"), ("bedrock", "aws.bedrock"), ("anthropic", "anthropic"), ("UNSPECIFIED", None)],
)
def test_a_provider_has_the_name_of_the_conventions(provider: str, name: str | None) -> None:
    """Where Kong's differs; a provider that Kong does not know is left out."""
    *_, client = spans_of(**ai(meta={"provider_name": provider}))

    assert client.attributes.get("gen_ai.provider.name") == name


def test_a_call_without_a_try_is_on_the_server_span() -> None:
    """A plugin answered, or called the provider itself."""
    (server,) = spans_of(**ai(meta={"provider_name": "openai"}) | {"tries": []})

    assert server.attributes["gen_ai.provider.name"] == "openai"


@pytest.mark.parametrize(
    ("path", "operation"),
    [
        ("/v1/chat/completions", "chat"),
        ("/v1/completions", "text_completion"),
        ("/v1/embeddings?a=1", "embeddings"),
    ],
)
def test_the_operation_follows_from_the_path(path: str, operation: str) -> None:
    """Of the call upstream: Kong's record does not have the route type."""
    *_, client = spans_of(**ai(meta={"provider_name": "openai"}), upstream_uri=path)

    assert client.attributes["gen_ai.operation.name"] == operation


@pytest.mark.parametrize(
    "statistics", [None, [], "x", {}, {"proxy": []}, {"proxy": {"meta": 7}}, {"other": {"meta": {}}}]
)
def test_statistics_of_another_form_are_no_call(statistics: object) -> None:
    """They cost no span."""
    assert model_call(record_of(ai=statistics)) is None


@pytest.mark.parametrize("number", [-1, 1e300, True, "11", None, [11], 2**63])
def test_an_odd_number_is_left_out(number: object) -> None:
    """No number can keep a span from being encoded."""
    usage = dict.fromkeys(("prompt_tokens", "completion_tokens", "cost", "time_per_token"), number)
    *_, client = spans_of(**ai(meta={"request_model": "gpt-4", "response_model": 7}, usage=usage))

    assert of_model(client) == {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4"}


@pytest.mark.parametrize(
    ("request_text", "shown"),
    [
        ('{"prompt": "hi"}', '[{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]'),
        (
            '{"messages": [{"role": "user", "content": [{"type": "image"}]}, 7]}',
            '[{"role": "user", "parts": [{"type": "text", "content": "[{\\"type\\": \\"image\\"}]"}]}]',
        ),
        ("{", None),
        ("[" * 5000, None),
        ('"' + "a" * (1 << 16) + '"', None),
        ("7", None),
        (7, None),
    ],
)
def test_any_prompt_gives_a_span(request_text: object, shown: str | None) -> None:
    """One that cannot be read is left out."""
    fields = ai(meta={"provider_name": "openai"}, payload={"request": request_text, "response": {}})
    *_, client = spans_of(rules=rules_of(capture={"gen_ai_messages": ["input", "output"]}), **fields)

    assert client.attributes.get("gen_ai.input.messages") == shown
    assert "gen_ai.output.messages" not in client.attributes
