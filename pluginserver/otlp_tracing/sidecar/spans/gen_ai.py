"""Calls of a language model that Kong's ai-proxy made for a request, from the statistics in the record (`gen_ai.*`).

The record has them if the plugin's `logging.log_statistics` is on. Token counts of streams are Kong's estimates, and so
are those of failed calls. Prompts and answers are in the record with `log_payloads`, and are read only for entries that
want them.

Source: kong/llm/drivers/shared.lua of Kong 3.7 and 3.8, kong/llm/plugin/shared-filters/serialize-analytics.lua of 3.9;
OpenTelemetry's gen-ai conventions as of semantic conventions 1.44 (all in development).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from otlp_tracing.sidecar.ingest.request_record import RequestRecord, first_line
from otlp_tracing.sidecar.spans.model import Attributes, present
from otlp_tracing.sidecar.spans.rules import SpanRules

_NAMESPACES: Final = ("proxy", "ai-proxy")  # 3.9; 3.7 and 3.8
_PROVIDERS: Final = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
}
"""The conventions' names of providers, where they differ from Kong's."""

_UNKNOWN: Final = "UNSPECIFIED"
_STREAMS: Final = ("text/event-stream", "application/vnd.amazon.eventstream")
_COMPLETIONS: Final = ("/completions", "/complete", "/generate")
_MOST: Final = float(1 << 53)  # a number that any JSON parser and any backend takes
_LONGEST_PAYLOAD: Final = 1 << 16  # characters that are parsed; redaction cuts a value at 4,096


class ModelCall:
    """The call of a model.

    Args:
        meta: its part of the record with names.
        usage: its part with numbers.
        payload: its part with texts; empty if Kong does not log them.
        record: of the request.
    """

    __slots__ = ("_payload", "cost", "input_tokens", "is_estimated", "latency_ms", "operation", "output_tokens",
                 "provider", "request_model", "response_model", "time_per_token_ms")  # fmt: skip

    def __init__(
        self, meta: Mapping[str, Any], usage: Mapping[str, Any], payload: Mapping[str, Any], record: RequestRecord
    ) -> None:
        provider = _text(meta.get("provider_name"))
        path = (record.log.upstream_uri or "").partition("?")[0]
        content_type = first_line(record.response_headers, "content-type") or ""
        self._payload: Final = payload
        self.operation: Final = _operation(path)
        self.provider: Final = None if provider is None else _PROVIDERS.get(provider, provider)
        self.request_model: Final = _text(meta.get("request_model"))
        self.response_model: Final = _text(meta.get("response_model"))
        self.input_tokens: Final = _count(usage.get("prompt_tokens"))
        self.output_tokens: Final = _count(usage.get("completion_tokens"))
        self.cost: Final = _number(usage.get("cost"))
        self.latency_ms: Final = _number(meta.get("llm_latency"))
        self.time_per_token_ms: Final = _number(usage.get("time_per_token"))
        self.is_estimated: Final = content_type.startswith(_STREAMS) or record.status >= 400

    def attributes(self, rules: SpanRules) -> Attributes:
        """Return the attributes of the span; they are not redacted."""
        wanted, payload = rules.gen_ai_messages, self._payload
        attributes = present({
            "gen_ai.operation.name": self.operation,
            "gen_ai.provider.name": self.provider,
            "gen_ai.request.model": self.request_model,
            "gen_ai.response.model": self.response_model,
            "gen_ai.usage.input_tokens": self.input_tokens,
            "gen_ai.usage.output_tokens": self.output_tokens,
            "kong.ai.cost": self.cost,
            "kong.ai.latency_ms": self.latency_ms,
            "kong.ai.time_per_token_ms": self.time_per_token_ms,
            "kong.ai.usage.estimated": True if self.is_estimated else None,
            "gen_ai.input.messages": _prompt(payload.get("request")) if "input" in wanted else None,
            "gen_ai.output.messages": _answer(payload.get("response")) if "output" in wanted else None,
        })  # fmt: skip
        if rules.old_names:
            former = (("gen_ai.system", "gen_ai.provider.name"),
                      ("gen_ai.usage.prompt_tokens", "gen_ai.usage.input_tokens"),
                      ("gen_ai.usage.completion_tokens", "gen_ai.usage.output_tokens"))  # fmt: skip
            attributes.update({old: attributes[new] for old, new in former if new in attributes})
        return attributes


def model_call(record: RequestRecord) -> ModelCall | None:
    """Return the call that ai-proxy made; None without one, and for statistics of an unknown form."""
    ai = record.log.ai
    if not isinstance(ai, dict):
        return None
    for namespace in _NAMESPACES:
        part = ai.get(namespace)
        if isinstance(part, dict):
            meta, usage, payload = (_part(part, name) for name in ("meta", "usage", "payload"))
            if meta or usage:
                return ModelCall(meta, usage, payload, record)
    return None


def gen_ai_attributes(record: RequestRecord, rules: SpanRules) -> Attributes:
    """Return the attributes of the call that ai-proxy made; empty without one."""
    call = model_call(record)
    return {} if call is None else call.attributes(rules)


def _operation(path: str) -> str:
    if path.endswith("/embeddings"):  # with ai-proxy's route_type preserve
        return "embeddings"
    return "text_completion" if path.endswith(_COMPLETIONS) and not path.endswith("/chat/completions") else "chat"


def _part(part: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = part.get(name)
    return found if isinstance(found, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value != _UNKNOWN else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST:
        return None
    return float(value)


def _count(value: object) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _prompt(payload: object) -> str | None:
    document = _document(payload)
    if isinstance(document, dict) and isinstance(messages := document.get("messages"), list):
        return _messages([one for one in messages if isinstance(one, dict)])
    prompt = document.get("prompt") if isinstance(document, dict) else None
    return _messages([{"role": "user", "content": prompt}]) if prompt else None


def _answer(payload: object) -> str | None:
    document = _document(payload)
    choices = document.get("choices") if isinstance(document, dict) else None
    if isinstance(choices, list):
        answers = [one for one in choices if isinstance(one, dict)]
        messages = [_part(one, "message") or {"role": "assistant", "content": one.get("text")} for one in answers]
        return _messages(messages) if messages else None
    # Before 3.9 the answer of a stream is its bare text.
    is_text = document is None and isinstance(payload, str) and 0 < len(payload) <= _LONGEST_PAYLOAD
    return _messages([{"role": "assistant", "content": payload}]) if is_text else None


def _document(payload: object) -> object:
    if not isinstance(payload, str) or len(payload) > _LONGEST_PAYLOAD:
        return None
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return None


def _messages(messages: list[Mapping[str, Any]]) -> str:
    """Return messages in the form of the conventions: gen-ai-input-messages.json, with text parts alone."""
    shown = []
    for one in messages:
        content = one.get("content")
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        shown.append({"role": str(one.get("role", "")), "parts": [{"type": "text", "content": text}]})
    return json.dumps(shown, ensure_ascii=False)
