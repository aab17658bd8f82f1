"""Calls of a language model through Kong's ai-proxy, before a provider that answers as OpenAI does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from e2e.client import Caller, fetch
from e2e.collectors import Collector
from e2e.conftest import StartGateway
from e2e.declarations import declaration, service, tracing
from e2e.gateways import RealKong
from e2e.spans import wait_for_trace
from e2e.waiting import wait_for

_SECONDS = 15.0
_SECRET = "jane.doe@example.com"


class _Provider(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer a chat, as a stream if it is asked for."""
        chat = json.loads(self.rfile.read(int(self.headers["content-length"])))
        message = {"role": "assistant", "content": f"hello {_SECRET}"}
        answer = {"object": "chat.completion", "model": "gpt-4-0613", "choices": [{"index": 0, "message": message}]}
        body = json.dumps(answer | {"usage": {"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13}})
        if chat.get("stream"):
            part = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": message}]}
            body = f"data: {json.dumps(part)}\n\ndata: [DONE]\n\n"
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if chat.get("stream") else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the standard library
        """Print nothing."""


@pytest.fixture
def provider() -> Iterator[str]:
    """Run the provider; give its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Provider) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_models_call_has_its_tokens(
    start_gateway: StartGateway, collector: Collector, provider: str, pytestconfig: pytest.Config
) -> None:
    """On the CLIENT span and in metrics, a stream's marked as estimates; the prompt is there on request, redacted."""
    if pytestconfig.getoption("--kong") is None or RealKong.version < (3, 7):
        pytest.skip("statistics of ai-proxy are those of a real Kong, from 3.7 on")
    ai_proxy = {
        "name": "ai-proxy",
        "config": {
            "route_type": "llm/v1/chat",
            "auth": {"header_name": "authorization", "header_value": "Bearer sk-0"},
            "logging": {"log_statistics": True, "log_payloads": True},
            "model": {
                "provider": "openai",
                "name": "gpt-4",
                "options": {"upstream_url": f"{provider}/v1/chat/completions", "input_cost": 10, "output_cost": 30},
            },
        },
    }
    entry = tracing(
        collector.endpoint,
        metrics={"enabled": True, "interval": 1000},
        capture={"gen_ai_messages": ["input", "output"]},
    )
    chat, stream = Caller.new(), Caller.new()
    with start_gateway(declaration(service("ai", provider, [entry, ai_proxy]))) as gateway:
        for caller, is_stream in ((chat, False), (stream, True)):
            body = {"messages": [{"role": "user", "content": f"I am {_SECRET}"}], "stream": is_stream}
            headers = [caller.header("01"), ("content-type", "application/json")]
            assert fetch(gateway.url, "/ai", headers, "POST", body=json.dumps(body).encode()).status == 200
        _, client = wait_for_trace(collector, chat.trace_id)
        _, streamed = wait_for_trace(collector, stream.trace_id)
        wait_for(lambda: "gen_ai_client_token_usage" in collector.prometheus(), _SECONDS, "the tokens' series")

    assert client.attributes["gen_ai.provider.name"] == "openai"
    assert client.attributes["gen_ai.request.model"] == "gpt-4"
    assert client.attributes["gen_ai.response.model"] == "gpt-4-0613"
    assert client.attributes["gen_ai.usage.input_tokens"] == 11
    assert client.attributes["gen_ai.usage.output_tokens"] == 2
    assert client.attributes["kong.ai.cost"] == pytest.approx(0.00017)
    assert "I am [REDACTED]" in str(client.attributes["gen_ai.input.messages"])
    assert "kong.ai.usage.estimated" not in client.attributes
    assert streamed.attributes["kong.ai.usage.estimated"] is True
    assert _SECRET not in collector.all_text()
