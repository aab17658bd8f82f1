"""Promises of commands/convert/conversion.py, which is `check --from`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from checkout import TESTDATA
from otlp_tracing.cli import main
from otlp_tracing.commands.check.command import check
from otlp_tracing.commands.convert.conversion import convert
from otlp_tracing.errors import ConfigError

DUMPS = sorted((TESTDATA / "dumps").glob("*-3.?.*"))
"""`deck dump` and `GET /plugins` of real Kongs, each with entries of both plugins, at the top and nested."""

OPENTELEMETRY: dict[str, Any] = {
    "traces_endpoint": "http://collector:4318/v1/traces",
    "headers": {"X-Auth-Token": "secret"},
    "sampling_rate": 0.25,
}
COMMENTED = """\
# the gateway
_format_version: "3.0"
services:
  - name: users   # the users
    url: http://users
    plugins:
      # traces of users
      - name: zipkin # old
        enabled: false
        config:
          # our zipkin
          http_endpoint: http://zipkin:9411/api/v2/spans
          sample_ratio: 1

        # trailing
        tags: [a]
    routes:
      - {name: r, paths: [/], plugins: [{name: opentelemetry, config: {endpoint: "http://c:4318/v1/traces"}}]}
plugins:
- config:
    traces_endpoint: http://c:4318/v1/traces
    headers: {a: "08"}
  name: opentelemetry
- name: cors
- name: zipkin
# end
"""


@pytest.mark.parametrize("dump", DUMPS, ids=lambda one: one.name)
def test_a_dump_of_a_real_kong_is_converted(dump: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As the golden files say, printed and written; both pass the check. UPDATE_DOCS=1 writes them again."""
    written = tmp_path / f"kong{dump.suffix}"
    assert convert(dump) == 0
    printed = capsys.readouterr().out
    assert convert(dump, written) == 0
    (tmp_path / "entries.yml").write_text(printed)
    assert check([written, tmp_path / "entries.yml"]) == 0
    for made, suffix in ((printed, ".entries.yml"), (written.read_text(), f".written{dump.suffix}")):
        golden = dump.parent / "converted" / f"{dump.stem}{suffix}"
        if os.environ.get("UPDATE_DOCS"):
            golden.write_text(made)
        assert made == golden.read_text()


def test_the_whole_file_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every comment and every other entry stay; it may be the same file, whose mode stays."""
    file = tmp_path / "kong.yml"
    file.write_text(COMMENTED)
    file.chmod(0o640)

    assert main(["check", "--from", str(file), "--write", str(file)]) == 0
    after = file.read_text()
    for line in ("# the gateway", "# the users", "# traces of users", "# old", "# our zipkin", "# trailing", "# end"):
        assert line in after, line
    made = yaml.safe_load(after)
    assert [one["name"] for one in made["plugins"]] == ["otlp-tracing", "cors", "zipkin"]
    assert made["plugins"][0]["config"]["headers"] == ["a: 08"]
    (users,) = made["services"]
    assert {**users["plugins"][0], "config": 0} == {
        "name": "otlp-tracing",
        "enabled": False,
        "tags": ["a"],
        "config": 0,
    }
    assert users["routes"][0]["plugins"][0]["name"] == "otlp-tracing"
    assert file.stat().st_mode & 0o777 == 0o640
    assert [one.name for one in tmp_path.iterdir()] == ["kong.yml"]
    assert "global: zipkin is left as it is: its scope has the otlp-tracing entry" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '{"_format_version": "3.0", "plugins": [\n\t{"name": "zipkin"}, {"name": "cors"}]}'),
        ("a.yml", 'kind: KongPlugin\nplugin: zipkin # x\n---\nkind: KongPlugin\nconfig:\nplugin: "opentelemetry"\n'),
        ("a.yml", "- name: zipkin\n  config: {}\n- name: zipkin\n  service: s\n"),
        ("a.yml", "\n- name: zipkin\n  config:\n  - 1\n  # c\n"),
        ("a.yml", "é: {}\nplugins:\r\n- name: zipkin\r\n  tags: [é]\r\n"),
    ],
)
def test_every_form_of_file_is_written(tmp_path: Path, name: str, text: str) -> None:
    """JSON, manifests and lists; entries with and without a configuration."""
    (tmp_path / name).write_bytes(text.encode())

    assert convert(tmp_path / name, tmp_path / f"new-{name}") == 0
    after = (tmp_path / f"new-{name}").read_bytes().decode()
    assert "otlp-tracing" in after
    assert "name: zipkin" not in after.replace('"', "")


def test_an_alias_is_not_written_through(tmp_path: Path) -> None:
    """The text of the entry is elsewhere, and may count for more than this entry."""
    file = tmp_path / "kong.yml"
    file.write_text("_ignore: [&c {sample_ratio: 1}]\nplugins: [{name: zipkin, config: *c}]\n")

    with pytest.raises(ConfigError, match="has an anchor or alias"):
        convert(file, tmp_path / "new.yml")
    assert [one.name for one in tmp_path.iterdir()] == ["kong.yml"]
    assert convert(file) == 0


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"name": "zipkin", "consumer": "bob"}, "it belongs to a consumer"),
        ({"name": "zipkin", "protocols": []}, "it runs for no protocol"),
        ({"name": "opentelemetry", "config": {"logs_endpoint": "http://c/v1/logs"}}, "it has no endpoint for traces"),
        ({"name": "zipkin", "service": "s"}, "its scope has the otlp-tracing entry in line"),
    ],
)
def test_an_entry_that_cannot_be_carried_over_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], entry: dict[str, Any], reason: str
) -> None:
    """With the reason; the rest of the file is converted."""
    entries = [{"name": "otlp-tracing", "service": "s"}, {"name": "zipkin", "route": "r"}, entry]
    (tmp_path / "kong.yml").write_text(yaml.safe_dump({"plugins": entries}, sort_keys=False))

    assert convert(tmp_path / "kong.yml", tmp_path / "new.yml") == 0
    assert f"{entry['name']} is left as it is: {reason}" in capsys.readouterr().out
    assert yaml.safe_load((tmp_path / "new.yml").read_text())["plugins"][2] == entry


def test_a_nested_entry_is_printed_with_its_scope(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pasted at the top it would be global otherwise; Kong takes the field in a nested entry too."""
    routes = [{"name": "1", "plugins": [{"name": "zipkin"}]}]
    services = [{"name": "s", "plugins": [{"name": "zipkin"}], "routes": routes}]
    (tmp_path / "kong.yml").write_text(json.dumps({"services": services}))

    assert convert(tmp_path / "kong.yml") == 0
    made = yaml.safe_load(capsys.readouterr().out)
    assert [(one.get("service"), one.get("route")) for one in made] == [("s", None), (None, "1")]


def test_write_needs_a_file_to_convert(capsys: pytest.CaptureFixture[str]) -> None:
    """A sentence each."""
    assert main(["check", "kong.yml", "--write", "x"]) == 2
    assert "--write: goes with --from" in capsys.readouterr().err
    assert main(["check", "--from", "-", "--write", "x"]) == 2
    assert "--write: needs a file to convert" in capsys.readouterr().err


def test_a_whole_file_is_converted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each entry's equivalent is YAML with its place above it; the output passes the check."""
    file = tmp_path / "kong.yml"
    entries = [{"name": "opentelemetry", "config": OPENTELEMETRY}]
    services = [{"name": "users", "plugins": [{"name": "zipkin", "config": {"http_endpoint": "http://z:9411/x"}}]}]
    file.write_text(yaml.safe_dump({"_format_version": "3.0", "plugins": entries, "services": services}))

    assert convert(file) == 0
    printed = capsys.readouterr().out
    assert "# global: instead of opentelemetry" in printed
    assert "# service users: instead of zipkin" in printed
    assert [entry["name"] for entry in yaml.safe_load(printed)] == ["otlp-tracing", "otlp-tracing"]


def test_a_file_without_any_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing to convert is a fault of the call."""
    file = tmp_path / "kong.yml"
    file.write_text("_format_version: '3.0'")

    assert convert(file) == 2
    assert "no entry of opentelemetry or zipkin" in capsys.readouterr().err


def test_the_rest_of_an_entry_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An entry that is off stays off, and one of a route stays the route's; the output passes the check."""
    entry = {
        "name": "zipkin",
        "route": "legacy",
        "enabled": False,
        "tags": ["a"],
        "protocols": ["http", "tcp"],
        "id": "x",
    }
    (tmp_path / "kong.yml").write_text(yaml.safe_dump({"plugins": [entry]}))

    assert convert(tmp_path / "kong.yml") == 0
    (made,) = yaml.safe_load(capsys.readouterr().out)
    assert {name: made[name] for name in made if name not in {"name", "config"}} == {
        name: entry[name] for name in ("route", "enabled", "tags", "protocols")
    }


def test_a_manifest_stays_a_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A KongPlugin becomes a KongPlugin of the same name."""
    manifest = {"apiVersion": "configuration.konghq.com/v1", "kind": "KongPlugin", "metadata": {"name": "trace"}}
    (tmp_path / "plugin.yml").write_text(
        yaml.safe_dump({**manifest, "plugin": "opentelemetry", "config": OPENTELEMETRY})
    )

    assert convert(tmp_path / "plugin.yml") == 0
    made = yaml.safe_load(capsys.readouterr().out)
    assert made["plugin"] == "otlp-tracing"
    assert {name: made[name] for name in manifest} == manifest


def test_a_configuration_in_a_secret_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It cannot be read here, and the Ingress Controller takes no second one; patches are left to a person."""
    manifest: dict[str, Any] = {"kind": "KongPlugin", "metadata": {"name": "trace"}, "plugin": "opentelemetry"}
    path = tmp_path / "a.yml"
    path.write_text(yaml.safe_dump({**manifest, "configFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}))
    assert convert(path) == 2
    assert "is left as it is: its configuration is in a Secret" in capsys.readouterr().out

    config = {"endpoint": "http://c:4318/v1/traces"}
    path.write_text(yaml.safe_dump({**manifest, "config": config, "configPatches": [{"path": "/headers"}]}))
    assert convert(path) == 0
    assert "configPatches: its paths are those of the old configuration" in capsys.readouterr().out

    path.write_text(yaml.safe_dump({**manifest, "plugin": "otlp-tracing", "config": config, "configFrom": {"a": 1}}))
    assert check([path]) == 2
