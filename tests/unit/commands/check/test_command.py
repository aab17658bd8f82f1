"""Promises of commands/check/command.py: every fault, at its place, and no secret."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from checkout import CHECKOUT
from kong_verdicts.cases import stored
from otlp_tracing.cli import main
from otlp_tracing.commands.check.command import check

SECRET = "s3cr3tvalue"
KONG_YML = f"""\
_format_version: "3.0"
services:
  - name: users
    url: http://users
    plugins:
      - name: otlp-tracing
        config:
          endpoint: https://collector:4317
          headers: ["x-api-key: {SECRET}"]
          tls: {{client_cert: /c, client_key: /{SECRET}}}
          sampling: {{rate: 0.5, rules: [{{name: a, paths: [/a], rate: 0, headers: ["authorization: {SECRET}"]}}]}}
    routes:
      - name: orders
        paths: [/]
        plugins: [{{name: otlp-tracing, config: {{redaction: {{hash_key: "{SECRET}0123456789"}}}}}}]
"""
MANIFEST = f"""\
apiVersion: configuration.konghq.com/v1
kind: KongClusterPlugin
metadata: {{name: t}}
plugin: otlp-tracing
config: {{headers: ["x-api-key: {SECRET}"], tls: {{client_key: "{SECRET}"}}}}
"""


@pytest.fixture
def found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Give a function that checks a text as kong.yml and returns the findings, without the file's name."""

    def run(text: str, name: str = "kong.yml") -> list[str]:
        (tmp_path / name).write_text(text)
        code = check([tmp_path / name])
        lines = capsys.readouterr().err.splitlines()
        assert (code == 2) == any("warning: " not in line for line in lines)
        return [line.removeprefix(f"{tmp_path / name}:") for line in lines]

    return run


def top_level(*entries: object) -> str:
    return yaml.safe_dump({"_format_version": "3.0", "plugins": [*entries]})


def one(config: object, **more: object) -> str:
    return top_level({"name": "otlp-tracing", "config": config, **more})


def test_the_verdicts_are_kongs(tmp_path: Path) -> None:
    """1,601 files, of which Kong 3.4, 3.8 and 3.9 said whether they take them; tests/e2e asks them again."""
    wrong = []
    for verdict in stored():
        file = tmp_path / f"kong{Path(verdict.name).suffix}"
        file.write_bytes(verdict.content)
        if (check([file]) == 0) == (verdict.accepted == bool(verdict.differs)):
            wrong.append(verdict.name)

    assert wrong == []


def test_the_faults_of_tail_rules_name_field_and_rule(found: Any) -> None:
    """Unknown conditions, wrong values, and patterns that RE2 refuses."""
    rules = [
        {"name": "a", "rate": 2, "statuses": [600], "consumer": ["x"]},
        {"rate": 1, "grpc_statuses": ["unavailable"], "attributes": ["http.route"]},
    ]
    lines = [line.partition(": ")[2] for line in found(one({"sampling": {"tail_rules": rules}}))]
    (pattern,) = found(one({"sampling": {"tail_rules": [{"name": "a", "rate": 1, "paths": ["~("]}]}}))

    assert len(lines) == 6
    for text in (
        "consumer: no such field; did you mean consumers?",
        "must be between 0 and 1",
        "between 1 and 599",
        "name: is required",
        "must be one of OK, CANCELLED",
        "attributes[1]",
    ):
        assert any(text in line for line in lines), text
    assert "tail_rules[1].paths: must be regular expressions that RE2 accepts" in pattern


def test_a_fault_is_told_with_its_place(found: Any) -> None:
    """File, line, column, scope, field, value and rule."""
    assert found(KONG_YML.replace("rate: 0.5", "rate: 7")) == [
        "11:22: service users: sampling.rate = 7: must be between 0 and 1"
    ]


def test_all_stages_are_told_at_once(found: Any) -> None:
    """A fault that the schema finds does not hide those that only the later stages find."""
    config = {
        "compression": "zip",
        "endpoint": "http://c:4317/path",
        "sampling": {"rules": [{"name": "a", "paths": ["~("], "rate": 1}]},
        "redaction": {"patterns": [{"name": "p", "pattern": "("}]},
    }

    fields = [text.split(": ")[2].split(" = ")[0] for text in found(one(config))]
    assert fields == ["compression", "sampling.rules[1].paths", "endpoint", "redaction.patterns[1].pattern"]
    assert ": propagation.clear[1] = " in found(one({"propagation": {"clear": ["host"]}}))[0]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty"),
        ("log_level = notice\nprefix = /usr/local/kong\n", "if this is kong.conf, name the kong.yml instead"),
        ("plugins:\n\t- name: otlp-tracing\n", "2:1: a tab; YAML is indented with spaces"),
        ("plugins: [", "is not YAML"),
        ("a: 1", "is not a declarative configuration"),
        ("- 1\n- 2", "plugins[1]: must be a record"),
        ("just text", "no record of fields at its top"),
        ("plugins: []", '_format_version: must be "3.0"'),
        ('_format_version: "3.0"\nplugins: otlp-tracing', "2:10: plugins: must be an array of records"),
        ('_format_version: "3.0"\nplugins: [otlp-tracing]', "plugins[1]: must be a record"),
        ('_format_version: "3.0"\nservices: {a: 1}', "services: must be an array of records"),
        ('_format_version: "3.0"\nplugins: &a [{name: otlp-tracing, config: *a}]', "refers to itself"),
        ("[" * 5000, "is nested too deeply"),
        (one("text"), "config: must be a record of named fields"),
        (one(5), "config: must be a record of named fields"),
        (one({"samplin": {}}), "samplin: no such field; did you mean sampling?"),
        (top_level({"name": "otlp-tracing", "endpoint": "http://c:4317"}), "endpoint: belongs under config"),
        (top_level({"name": "otlp-tracing", "confg": {}}), "confg: no such field; did you mean config?"),
        (top_level({"name": "otlp_tracing"}), 'name = "otlp_tracing": must be otlp-tracing'),
        (one({}, enabled="yes"), 'enabled = "yes": must be a boolean'),
        (one({}, protocols=[]), "protocols: is empty: the entry runs for no request and no connection"),
        (one({}, protocols=["tpc"]), 'protocols[1] = "tpc": must be one of grpc, grpcs, http, https, tcp, tls, tls_'),
        (one({}, consumer="bob"), "consumer: cannot be set"),
        (
            top_level({"name": "otlp-tracing"}, {"name": "otlp-tracing"}),
            "is the second otlp-tracing entry of this scope",
        ),
        (
            '_format_version: "3.0"\nconsumers: [{username: bob, plugins: [{name: otlp-tracing}]}]',
            "consumer bob: cannot belong to a consumer",
        ),
        (
            '_format_version: "3.0"\n_plugin_configs: {t: {sampling: {rate: 2}}}\n'
            "plugins: [{name: otlp-tracing, _config: t}]",
            "sampling.rate = 2: must be between 0 and 1",
        ),
        (
            "apiVersion: configuration.konghq.com/v1\nkind: KongPlugin\nmetadata: {name: t}\nplugin: otlp-tracing\n"
            "config: {sampling: {rate: 7}}",
            "5:21: KongPlugin t: sampling.rate = 7",
        ),
        ('{"name": "otlp-tracing", "config": {"sampling": {"rate": 3}}}', "1:50: global: sampling.rate = 3"),
        ('{\n\t"name": "otlp-tracing", "config": {"protocol": 3}}', "2:37: global: protocol = 3"),
        (
            one({"span": {"attributes": [{"name": "a", "source": "requst_header", "key": "b"}]}}),
            'span.attributes[1].source = "requst_header": must be one of literal, request_header',
        ),
        (
            one({"span": {"name": "{http.route} {kong.rout.name}", "attributes": []}}),
            "{kong.rout.name} cannot be part of a name; did you mean kong.route.name?",
        ),
        (
            one({"span": {"attributes": [{"name": "http.route", "source": "literal", "value": "b"}]}}),
            'span.attributes[1].name = "http.route": must not begin with http.',
        ),
        (KONG_YML + "---\n" + one({"protocol": "x"}), 'protocol = "x": must be one of grpc, http/protobuf'),
    ],
)
def test_a_file_that_kong_refuses_is_a_fault(found: Any, text: str, sentence: str) -> None:
    """Whatever form it has: the whole entry is looked at, and the file around it."""
    assert sentence in "\n".join(found(text))


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"endpoint": "http://c:4318"}, "endpoint"),
        ({"endpoint": "http://c:4317", "protocol": "http/protobuf"}, "endpoint"),
        ({"endpoint": "http://c:4317", "tls": {"ca_cert": "/ca.pem"}}, "tls"),
        ({"endpoint": "https://c:4317", "tls": {"client_cert": "/c.pem"}}, "tls"),
        ({"headers": [f"authorization: Bearer {{vault://env/{SECRET}}}"]}, "headers[1]"),
        ({"sampling": {"rate": 0}}, "sampling.rate"),
        ({"redaction": {"mode": "hash"}}, "redaction.hash_key"),
        ({"endpoint": '${{ env "DECK_ENDPOINT" }}'}, "config"),
    ],
)
def test_a_setting_that_cannot_work_is_a_warning(found: Any, config: dict[str, Any], field: str) -> None:
    """Kong takes it, so it is no fault."""
    texts = found(one(config))

    assert len(texts) == 1
    assert f": global: warning: {field}: " in texts[0]
    assert SECRET not in texts[0]


def test_a_field_that_is_written_twice_is_a_warning(found: Any) -> None:
    """The last one counts, as it does for Kong."""
    text = '_format_version: "3.0"\nplugins:\n- name: otlp-tracing\n  config:\n    protocol: soap\n    protocol: grpc\n'

    assert found(text) == ["6:5: global: warning: protocol: is written twice; the last one counts"]


@pytest.mark.parametrize(
    "text",
    [KONG_YML, "kind: Service\napiVersion: v1\n", one({}, tags=["a"], enabled=False, protocols=["https"]),
     one({}, protocols=["tcp", "tls", "tls_passthrough", "udp"]),
     '_format_version: "3.0"\nservices: [{host: s, tags: [2024-02-30]}]', '_format_version: "3.0"\n_info: {}'],
)  # fmt: skip
def test_a_file_that_kong_takes_has_no_fault(found: Any, text: str) -> None:
    """A date that no month has is a string to Kong's parser."""
    assert found(text) == []


def test_several_files_and_folders_are_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folders with their files of other kinds, and stdin."""
    (tmp_path / "a.yaml").write_text(KONG_YML)
    (tmp_path / "other.yml").write_text("on: [push]")
    (tmp_path / "notes.txt").write_text("{")
    (tmp_path / "template.yml").write_text("{{ .Values.x }}: {{")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(one({"protocol": "x"}).encode())))

    assert check([tmp_path, CHECKOUT / "kong" / "kong.yml", Path("-")]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("-:")
    assert captured.err.count("\n") == 1
    assert f"{tmp_path / 'a.yaml'}: 2 otlp-tracing entries, 0 with faults" in captured.out


def test_a_broken_file_of_a_folder_is_a_fault_if_it_names_the_plugin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Templates of other tools are no YAML, and no business of the check's."""
    (tmp_path / "a.yml").write_text("plugins: [{name: otlp-tracing")

    assert check([tmp_path]) == 2
    assert "is not YAML" in capsys.readouterr().err


def test_faults_around_the_entries_are_counted_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the line that sums a file up."""
    (tmp_path / "kong.yml").write_text("plugins: [{name: otlp-tracing, bogus: 1}]")

    assert check([tmp_path / "kong.yml"]) == 2
    assert capsys.readouterr().out.endswith("1 otlp-tracing entry, 1 with faults, 1 fault around them\n")


def test_a_file_of_the_bundled_plugins_is_told_how_to_convert_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command converts it; a file without such a plugin, or with an entry, is told nothing."""
    ends = []
    for names in ("opentelemetry", "cors", "opentelemetry, otlp-tracing"):
        file = tmp_path / "kong.yml"
        plugins = ", ".join(f"{{name: {name}}}" for name in names.split(", "))
        file.write_text(f'_format_version: "3.0"\nplugins: [{plugins}]\n')
        assert check([file]) == 0
        ends.append(capsys.readouterr().out.rpartition(": ")[2].strip())

    assert ends[0].endswith(f"otlp-tracing check --from {tmp_path / 'kong.yml'}")
    assert ends[1:] == ["no otlp-tracing entry", "1 otlp-tracing entry, 0 with faults"]


def test_findings_are_written_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON, and annotations for a pull request on GitHub."""
    file = tmp_path / "kong.yml"
    file.write_text(one({"protocol": "x", "sampling": {"rate": 0}}))

    assert main(["check", "--format", "json", str(file)]) == 2
    findings = json.loads(capsys.readouterr().out)
    assert [(one["level"], one["line"], one["place"]) for one in findings] == [("error", 4, "global")]
    assert main(["check", "--format", "github", str(file)]) == 2
    assert capsys.readouterr().out.startswith(f"::error file={file},line=4,col=5::global: protocol")


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(
        [
            KONG_YML,
            one({"headers": {"authorization": f"Bearer {SECRET}"}}),
            one({"endpoint": f"http://u:{SECRET}@c"}),
            json.dumps(yaml.safe_load(KONG_YML)),
            MANIFEST,
        ]
    ),
    st.lists(st.tuples(st.floats(0, 1), st.sampled_from("\t\n :{}[]-&*!|>'\"#%@`,?~\x00é"), st.booleans()), max_size=4),
    st.sampled_from(
        [
            ["check", "kong.yml"],
            ["check", "--format", "json", "kong.json"],
            ["check", "--format", "github", "kong.yml"],
            ["check", "--from", "kong.json"],
            ["check", "--from", "kong.yml"],
        ]
    ),
)  # fmt: skip
@example(KONG_YML.replace(f"key: /{SECRET}", f"key: ,{SECRET}"), [], ["check", "kong.yml"])
@example(KONG_YML.replace(f'"x-api-key: {SECRET}"', f"*{SECRET}"), [], ["check", "kong.yml"])
def test_no_file_gives_a_traceback_or_a_secret(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    text: str,
    edits: list[tuple[float, str, bool]],
    command: list[str],
) -> None:
    """Whatever is typed into a file, the answer is findings, in which the values of headers and keys are not shown."""
    for where, character, replaces in edits:
        at = int(where * (len(text) - 1))
        if SECRET not in text[max(0, at - len(SECRET)) : at + len(SECRET)]:
            text = text[:at] + character + text[at + replaces :]
    *options, name = command
    (tmp_path / name).write_text(text)

    assert main([*options, str(tmp_path / name)]) in {0, 2}
    captured = capsys.readouterr()
    assert SECRET not in captured.out + captured.err


def test_a_section_that_is_written_twice_is_a_warning(found: Any) -> None:
    """The last one counts: the entries of the first are gone."""
    text = '_format_version: "3.0"\nplugins: [{name: otlp-tracing}]\nservices: [{host: a, host: b}]\nplugins: []\n'

    assert found(text) == [
        "4:1: warning: plugins is written twice; the last one counts",
        "3:22: warning: host is written twice; the last one counts",
    ]


def test_empty_documents_between_manifests_are_skipped(found: Any) -> None:
    """As kubectl does; Kong's own file must not begin with one."""
    assert found(f"---\n# a chart\n---\n{MANIFEST.replace('tls: ', 'x: ')}---\n", "a.yaml")[0].endswith("metrics, logs")
    assert found(f"---\n---\n{KONG_YML}")[0].startswith("2:1: is not a declarative configuration")


def test_a_template_is_told_apart_from_bad_yaml(found: Any) -> None:
    """The sentence names the file to check instead."""
    (line,) = found("{{- if .Values.tracing }}\nkind: KongPlugin\n{{- end }}\n")

    assert "is a template: name the rendered file" in line
