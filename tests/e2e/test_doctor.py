"""`otlp-tracing doctor` beside a gateway that works."""

from __future__ import annotations

import json
import subprocess

import yaml

from e2e.client import Caller
from e2e.conftest import StartGateway
from e2e.declarations import declaration, service, tracing
from e2e.kong_process import plugin_server_settings
from e2e.spans import SinkReader, wait_for_trace
from e2e.upstreams import RecordingUpstream
from otlp_tracing.paths import command_line
from otlp_tracing_devtools.fake_collector import ThreadedOtlpSink


def test_a_healthy_gateway_has_no_warning(
    start_gateway: StartGateway, upstream: RecordingUpstream, sink: ThreadedOtlpSink, spans_at_sink: SinkReader
) -> None:
    """From the package to the collector every answer is ok; of a real Kong all is found from its prefix alone."""
    caller = Caller.new()
    declared = declaration(service("api", upstream.url, [tracing(sink.sink.endpoint)]))
    with start_gateway(declared) as gateway:
        assert gateway.get("/api/1", [caller.header()]).status == 200
        wait_for_trace(spans_at_sink, caller.trace_id)
        # Without the probe's entry of the harness, which has no collector.
        kong_yml = gateway.prefix.with_name("declared.yml")
        kong_yml.write_text(yaml.safe_dump(declared))
        options = [str(kong_yml), "--kong-prefix", str(gateway.prefix)]
        if not gateway.is_kong:
            conf = gateway.prefix.with_name("kong.conf")
            settings = plugin_server_settings(
                gateway.prefix / gateway.server.socket, gateway.server.query, gateway.server.start
            )
            conf.write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
            options += ["--kong-conf", str(conf)]
        done = subprocess.run([*command_line("doctor"), *options, "--json"], capture_output=True, check=False)

    findings = json.loads(done.stdout)
    assert [one for one in findings if one["level"] in {"warn", "FAIL"}] == []
    assert (done.returncode, done.stderr) == (0, b"")
    # The stand-in is no process of nginx.
    notes = [one["subject"] for one in findings if one["level"] == "note" and one["subject"] != "log"]
    assert notes == ([] if gateway.is_kong else ["kong.conf"])
    assert any("accepts an export" in one["text"] for one in findings)
