"""The destinations that `doctor` asks: those of a kong.yml's entries, and those that the sidecar alone knows."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from otlp_tracing.commands.doctor.findings import Finding, Masking, unasked
from otlp_tracing.commands.doctor.kong_yml import ConfiguredEntry
from otlp_tracing.commands.doctor.own_commands import OwnCommands
from otlp_tracing.config.otel_variables import SIGNALS, Signal, likely_path, signal_path
from otlp_tracing.config.settings import Settings
from otlp_tracing.config.validation import is_vault_reference
from otlp_tracing.errors import ConfigError
from otlp_tracing.paths import typed_command
from otlp_tracing.sidecar.export.destination import Destination

_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_VAULT = re.compile(r"\{vault://env/([^/?}]+)\}")


@dataclass(frozen=True)
class Candidate:
    """A destination, with the first entry that names it.

    Args:
        entry: None for a destination that the sidecar alone has named.
        lacks_headers: Kong or the sidecar has headers that are not known here.
        own: commands of this program.
    """

    entry: ConfiguredEntry | None
    destination: Destination
    lacks_headers: bool
    own: OwnCommands

    @property
    def label(self) -> str:
        """Return its name in the findings."""
        return f"{self.destination.label} ({self.destination.protocol})"

    def set_command(self, field: str, value: str, variable: str = "") -> str:
        """Return the command that sets a field of the entry, or the variable that counts for the unset field."""
        if self.entry is None:
            return self.with_kong_yml()
        signal = self.destination.signal
        if field == "endpoint" and signal != "traces":
            return self.entry.set_command(f"config.{signal}.endpoint", value)
        if variable and not getattr(self.entry.settings, field):
            return f"export {variable}={shlex.quote(value)}"
        return self.entry.set_command(f"config.{field}", value)

    def with_kong_yml(self) -> str:
        """Return the command that asks again, and then knows the entries."""
        return self.own.doctor("KONG_YML")

    def set_endpoint(self, endpoint: str) -> str:
        """Return the command that sets the endpoint."""
        return self.set_command("endpoint", endpoint, _ENDPOINT)

    def replace_in_endpoint(self, old: str, new: str) -> str:
        """Return the command that replaces a part of the endpoint."""
        return self.set_endpoint(self.destination.endpoint.replace(old, new, 1))

    def set_port(self) -> str:
        """Return the command that sets another port, for the reader to fill in."""
        one, (host, _) = self.destination, self.destination.host_and_port
        scheme = "https" if one.secure else "http"
        bracketed = f"[{host}]" if ":" in host else host
        path = urlsplit(one.url).path if one.protocol != "grpc" else ""
        path = "" if path == signal_path(one.signal) else path
        return self.set_endpoint(f"{scheme}://{bracketed}:PORT{path}")

    def set_path(self) -> str:
        """Return the command that sets the usual path; if the endpoint has it already, the one for another port."""
        one = self.destination
        url = urlsplit(one.url)
        likely = likely_path(url.path, one.signal)
        if one.protocol == "grpc" or url.path == likely:
            return self.set_port()
        endpoint = url._replace(path=likely, query="").geturl()
        return self.set_command("endpoint", endpoint, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

    def set_key(self) -> str:
        """Return the command that sets the key in the first header."""
        lines = self.entry.settings.headers if self.entry else ()
        if not lines:
            name = next((name for name, _ in self.destination.headers), "NAME")
            return f"export OTEL_EXPORTER_OTLP_HEADERS={name}=KEY"
        if reference := _VAULT.fullmatch(lines[0]):
            return f"export {_variable(reference)}='NAME: KEY'"
        name = lines[0].partition(":")[0].strip()
        return self.set_command("headers[1]", f'"{name}: KEY"')


def of_sidecar(report: Mapping[str, Any], environment: Mapping[str, str], own: OwnCommands) -> Candidate | None:
    """Return a destination that a sidecar reports; its headers and certificates are not in the report."""
    signal: Signal = next((one for one in SIGNALS if one == report.get("signal")), "traces")
    endpoint = report.get("endpoint")
    if not endpoint:  # a sidecar of an older version does not say it
        return None
    config: dict[str, Any] = {"protocol": report.get("protocol")}
    config.update({"endpoint": endpoint} if signal == "traces" else {signal: {"endpoint": endpoint}})
    try:
        destination = Destination.from_settings(Settings.from_config(config), environment, signal=signal)
        return Candidate(None, destination, True, own)
    except ConfigError:
        return None


def candidates(
    entries: Sequence[ConfiguredEntry], environment: Mapping[str, str], masking: Masking, own: OwnCommands
) -> Iterator[Candidate | Finding]:
    """Return the destinations of entries, each once and of each signal; or a finding for an entry that has none.

    Args:
        entries: of a kong.yml.
        environment: of the sidecar.
        masking: learns the headers' values.
        own: commands of this program.
    """
    seen = set()
    for one in entries:
        headers = [_resolved(line, environment) for line in one.settings.headers]
        settings = replace(one.settings, headers=tuple(headers))
        if endpoint := one.settings.endpoint:
            settings = replace(settings, endpoint=_resolved(endpoint, environment))
        if is_vault_reference(settings.endpoint):
            yield unasked(one.place, "Kong alone resolves the vault reference in `endpoint`")
            continue
        for line in headers:
            masking.add(line.partition(":")[2])
        for signal in settings.signals:
            try:
                destination = Destination.from_settings(settings, environment, signal=signal)
            except ConfigError as error:
                text = "; ".join(map(str, error.faults))
                yield Finding("FAIL", one.place, text, typed_command("check", str(one.file)))
                break
            masking.add(*(value for _, value in destination.headers), urlsplit(destination.proxy or "").password or "")
            if destination.identity not in seen:
                seen.add(destination.identity)
                yield Candidate(one, destination, any(map(is_vault_reference, headers)), own)


def _resolved(line: str, environment: Mapping[str, str]) -> str:
    """Return a header; Kong resolves a reference to its environment, kong/vaults/env/init.lua."""
    found = _VAULT.fullmatch(line)
    return (found and (environment.get(_variable(found)) or os.environ.get(_variable(found)))) or line


def _variable(reference: re.Match[str]) -> str:
    return reference[1].upper().replace("-", "_")
