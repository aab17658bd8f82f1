"""Promises of commands/doctor/kong_yml.py."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from otlp_tracing.commands.doctor.kong_yml import read_entries
from otlp_tracing.commands.nginx_snippet import as_kong_yml, dump_command

HEAD = '_format_version: "3.0"\n'
BLOCK = """services:
  - name: s
    url: http://u
    plugins:
      - name: otlp-tracing
        config:
          endpoint: http://a:4317   # the collector
          headers:
            - "x-api-key: old"
            - "other: stays"
          tls:
            ca_cert: /a.pem
      - name: cors
"""
FLOW = "plugins:\n- name: otlp-tracing\n  config: {endpoint: 'http://a:4317', protocol: grpc}\n"
BARE = "plugins:\n- name: otlp-tracing\n- name: cors\n"
CONSUMER = "consumers:\n- username: bob\n  plugins:\n  - name: otlp-tracing\n"
EMPTY = "plugins:\n- name: otlp-tracing\n  config: {}\n"
FIRST = "plugins:\n- config:\n    compression: gzip\n  name: otlp-tracing\n"
MANIFEST = "apiVersion: configuration.konghq.com/v1\nkind: KongPlugin\nmetadata: {name: t}\nplugin: otlp-tracing\n"


@pytest.mark.parametrize(
    ("text", "field", "value", "expected"),
    [
        (HEAD + BLOCK, "config.endpoint", "http://b:1", "http://b:1"),
        (HEAD + BLOCK, "config.protocol", "http/protobuf", "http/protobuf"),
        (HEAD + BLOCK, "config.headers[1]", '"x-api-key: N&E|W"', ["x-api-key: N&E|W", "other: stays"]),
        (HEAD + BLOCK, "config.tls.ca_cert", "/b.pem", "/b.pem"),
        (HEAD + BLOCK, "config.sampling.rate", "0.5", 0.5),
        (HEAD + BLOCK, "enabled", "true", True),
        (HEAD + FLOW, "config.protocol", "http/protobuf", "http/protobuf"),
        (HEAD + FLOW, "config.endpoint", "http://b:1", "http://b:1"),
        (HEAD + EMPTY, "config.endpoint", "http://b:1", "http://b:1"),
        (HEAD + FIRST, "config.protocol", "http/protobuf", "http/protobuf"),
        (MANIFEST + "config:\n  endpoint: http://a:1\n", "config.endpoint", "http://b:1", "http://b:1"),
    ],
)
def test_the_command_sets_the_field_and_no_other(
    tmp_path: Path, text: str, field: str, value: str, expected: object
) -> None:
    """In block style, in flow style, with and without the field: the shell runs it, and the rest is as before."""
    file = tmp_path / "kong yml"
    file.write_text(text)
    file = file.rename(file.with_suffix(".yml"))
    ((before,), _) = read_entries(file)
    subprocess.run(["/bin/sh", "-c", before.set_command(field, value)], check=True)
    ((after,), _) = read_entries(file)

    names = field.replace("[1]", "").split(".")
    found, old = after.entry.value, dict(before.entry.value)
    for name in names:
        found = found[name]
    assert found == expected
    assert old.keys() - {names[0]} == after.entry.value.keys() - {names[0]}
    assert len(file.read_text().splitlines()) - len(text.splitlines()) in {0, 1}


@pytest.mark.parametrize("text", [HEAD + "plugins: [{name: otlp-tracing}]\n", HEAD + BARE])
def test_an_edit_that_is_no_single_line_opens_the_file(tmp_path: Path, text: str) -> None:
    """The command names file and line, and the file stays as it is."""
    file = tmp_path / "kong.yml"
    file.write_text(text)
    ((entry,), _) = read_entries(file)

    assert entry.set_command("config.endpoint", "http://b:1") == f"vi +{3 if '- name' in text else 2} {file}"
    assert file.read_text() == text


@pytest.mark.parametrize(
    ("text", "level", "words", "command"),
    [
        (HEAD + "plugins:\n- name: otlp-tracing\n  enabled: false\n", "warn", "is switched off", "s|enabled:"),
        (MANIFEST + "disabled: true\n", "warn", "is switched off", "s|disabled:"),
        (HEAD + "plugins:\n- name: otlp_tracing\n", "FAIL", "has faults: name", "otlp-tracing check"),
        (HEAD + CONSUMER, "FAIL", "has faults: cannot belong to a consumer: the plugin runs", "otlp-tracing check"),
        (HEAD + "plugins:\n- name: otlp-tracing\n  confg: {}\n", "FAIL", "has faults: confg", "otlp-tracing check"),
        (HEAD + "plugins:\n- name: cors\n", "FAIL", "no entry of otlp-tracing", "/^plugins:/a"),
        (HEAD, "FAIL", "no entry of otlp-tracing", "printf"),
        ("a: [", "FAIL", "", "otlp-tracing check"),
    ],
)
def test_an_entry_that_traces_nothing_is_said(tmp_path: Path, text: str, level: str, words: str, command: str) -> None:
    """An entry that is off or refused, and a file without one."""
    file = tmp_path / "kong.yml"
    file.write_text(text)
    used, (finding,) = read_entries(file)

    assert (used, finding.level) == ([], level)
    assert words in finding.text
    assert command in finding.command


@pytest.mark.parametrize(("protocols", "expected"), [("[http]", []), ("[https, tls]", ["note"]), ("[tcp]", ["note"])])
def test_an_entry_that_takes_connections_is_said(tmp_path: Path, protocols: str, expected: list[str]) -> None:
    """Kong 3.4 runs no external plugin for them, and doctor does not know the version of Kong."""
    file = tmp_path / "kong.yml"
    file.write_text(f'_format_version: "3.0"\nplugins:\n- name: otlp-tracing\n  protocols: {protocols}\n')
    entries, (_, *findings) = read_entries(file)

    assert len(entries) == 1
    assert [one.level for one in findings] == expected
    assert all(one.subject == f"{file}:4" and "Kong 3.4" in one.text for one in findings)


def test_the_nginx_snippet_is_compared(tmp_path: Path) -> None:
    """A changed copy is a warning with the command that prints the right one; without a copy nothing is said."""
    file = tmp_path / "kong.yml"
    text = as_kong_yml() + "  - name: otlp-tracing\n"

    for content, expected in (
        (text, [("ok", "the nginx snippet is that of this package")]),
        (text.replace("ssl_client_i_dn", "ssl_client_s_dn"), [("warn", "nginx facts: log[1]: differs from the nginx")]),
        (HEAD + BARE, []),
    ):
        file.write_text(content)
        _, findings = read_entries(file)
        found = [one for one in findings if "nginx" in one.text]
        assert [
            (one.level, one.text[: len(start)]) for one, (_, start) in zip(found, expected, strict=True)
        ] == expected
        assert all(one.command == dump_command() for one in found if one.level == "warn")
