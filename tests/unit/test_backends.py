"""Every entry of docs/backends.md has no fault, and reaches a receiver that wants the documented path and header."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from checkout import CHECKOUT
from otlp_tracing.commands.check.command import check
from otlp_tracing.config.endpoint_warnings import endpoint_warnings
from otlp_tracing.config.settings import Settings
from otlp_tracing.sidecar.export.destination import Destination
from otlp_tracing.sidecar.export.exporters import new_transport
from otlp_tracing.sidecar.export.result import Action
from otlp_tracing_devtools.fake_collector import OtlpSink

PAGE = (CHECKOUT / "docs" / "backends.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
BACKENDS = {urlsplit(yaml.safe_load(block)[0]["config"]["endpoint"]).hostname: block for block in BLOCKS}
# Where each backend takes traces, and the header that it wants, as its own pages say.
DOCUMENTED = {
    "jaeger": ("grpc", "jaeger:4317", ""),
    "tempo": ("grpc", "tempo:4317", "x-scope-orgid"),
    "otlp-gateway-prod-us-east-0.grafana.net": (
        "http/protobuf",
        "https://otlp-gateway-prod-us-east-0.grafana.net:443/otlp/v1/traces",
        "authorization",
    ),
    "api.honeycomb.io": ("grpc", "api.honeycomb.io:443", "x-honeycomb-team"),
    "datadog-agent": ("grpc", "datadog-agent:4317", ""),
    "otlp.nr-data.net": ("http/protobuf", "https://otlp.nr-data.net:443/v1/traces", "api-key"),
    "my-deployment.ingest.us-east-1.aws.elastic.cloud": (
        "grpc",
        "my-deployment.ingest.us-east-1.aws.elastic.cloud:443",
        "authorization",
    ),
    "ingest.us.signoz.cloud": ("grpc", "ingest.us.signoz.cloud:443", "signoz-ingestion-key"),
    "api.uptrace.dev": ("grpc", "api.uptrace.dev:4317", "uptrace-dsn"),
}


def configured(host: str, **changes: Any) -> Settings:
    """Return an entry's settings as Kong hands them over: with the secret line in the place of the reference."""
    block = BACKENDS[host]
    config: dict[str, Any] = yaml.safe_load(block)[0]["config"]
    if secret := re.search(r"# ([\w-]+): ", block):
        config["headers"] = [f"{secret[1]}: {secret_value(host)}"]
    return Settings.from_config({**config, **changes})


def secret_value(host: str) -> str:
    return f"key of {host}"


def test_every_backend_has_its_documented_values_here() -> None:
    """A new entry is not left out of the tests below."""
    assert BACKENDS.keys() == DOCUMENTED.keys()


@pytest.mark.parametrize("host", BACKENDS)
def test_check_finds_neither_a_fault_nor_a_warning(host: str, tmp_path: Path) -> None:
    """The entry can be pasted as it is."""
    file = tmp_path / "kong.yml"
    entries = yaml.safe_load(BACKENDS[host])
    file.write_text(yaml.safe_dump({"_format_version": "3.0", "plugins": entries}))

    assert check([file]) == 0
    assert list(endpoint_warnings(configured(host))) == []


@pytest.mark.parametrize("host", BACKENDS)
def test_it_is_sent_where_the_backend_takes_traces(host: str) -> None:
    """Protocol, host, port and path."""
    protocol, target, _ = DOCUMENTED[host]
    destination = Destination.from_settings(configured(host), {})

    assert destination.protocol == protocol
    assert (destination.target if protocol == "grpc" else destination.url) == target


@pytest.mark.parametrize("host", BACKENDS)
async def test_a_receiver_that_wants_the_header_takes_it(host: str) -> None:
    """Another header, or another path, would be refused."""
    protocol, _, header = DOCUMENTED[host]
    path = urlsplit(configured(host).endpoint or "").path

    async def take(request: web.Request) -> web.Response:
        known = not header or request.headers.get(header) == secret_value(host)
        return web.Response(status=200 if known else 401, content_type="application/x-protobuf")

    if protocol == "http/protobuf":
        app = web.Application()
        app.router.add_post(path or "/v1/traces", take)
        async with TestServer(app) as server:
            settings = configured(host, endpoint=f"http://{server.host}:{server.port}{path}")
            transport = new_transport(Destination.from_settings(settings, {}))
            result = await transport.export(b"")
            await transport.close()
    else:
        async with OtlpSink() as sink:
            transport = new_transport(Destination.from_settings(configured(host, endpoint=sink.endpoint), {}))
            result = await transport.export(b"")
            await transport.close()
            metadata = dict(sink.requests[0].metadata)
            assert not header or header in metadata

    assert result.action is Action.SUCCESS
