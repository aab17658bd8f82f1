"""Promises of commands/doctor/kong_conf.py."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otlp_tracing.commands.doctor import kong_conf
from otlp_tracing.commands.doctor.discovery import look_around, server_name
from otlp_tracing.commands.doctor.kong_conf import parse, read_kong_conf, running_kong_conf
from otlp_tracing.commands.doctor.kong_questions import ask_kong_conf
from otlp_tracing.commands.doctor.plugin_server_questions import ask_socket
from otlp_tracing.commands.doctor.sidecar_port import ask_port
from otlp_tracing.commands.doctor.sidecar_questions import ask_folder
from otlp_tracing.paths import command_line

TEXT = st.text(st.characters(codec="utf-8"), max_size=400)
LINES = st.lists(
    st.one_of(
        TEXT,
        st.builds(
            "{} = {}".format,
            st.sampled_from(["plugins", "pluginserver_names", "pluginserver_otlp_tracing_start_cmd", "prefix"]),
            TEXT,
        ),
    ),
    max_size=8,
).map("\n".join)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("plugins = bundled,otlp-tracing", {"plugins": "bundled,otlp-tracing"}),
        ("  plugins=bundled  # all\n", {"plugins": "bundled"}),
        ("a = x\\#y", {"a": "x#y"}),
        ("a = one \\\n  two", {"a": "one   two"}),
        ("pluginserver_otlp-tracing_socket = s", {"pluginserver_otlp_tracing_socket": "s"}),
        ("a = 1\na = 2", {"a": "2"}),
        ("#a = 1\n;a = 2\n\n", {}),
        ("a = 1\n[section]\nb = 2", {"a": "1"}),
        ("a = b = c", {"a": "b = c"}),
    ],
)
def test_a_file_is_read_as_kong_reads_it(text: str, values: dict[str, str]) -> None:
    """Comments, continued lines, names with dashes and repeated settings mean the same."""
    assert parse(text) == values


@settings(max_examples=60)
@given(LINES)
def test_any_text_gives_findings(text: str) -> None:
    """No kong.conf ends in an exception."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "kong.conf")
        file.write_text(text)
        found = look_around(prefix=None, kong_conf=file, address=None, token=None)
        findings = [*ask_kong_conf(found), *ask_socket(found), *ask_folder(found), *ask_port(found)]

    assert found.conf is not None
    assert all(name and value == value.strip() for name, value in found.conf.values.items())
    assert all(one.command for one in findings if one.level == "FAIL")


def test_a_variable_wins_over_the_file(tmp_path: Path) -> None:
    """KONG_* variables count first, and the command that sets such a setting sets the variable."""
    file = tmp_path / "kong.conf"
    file.write_text("plugins = bundled\nlog_level = info\n")
    conf = read_kong_conf(file, {"KONG_PLUGINS": "cors"})

    assert (conf.words("plugins"), conf.get("log_level")) == (["cors"], "info")
    assert conf.set_command("plugins", "a b") == "export KONG_PLUGINS='a b'"
    assert conf.set_command("log_level", "notice") == f"sed -i '$a log_level = notice' {file}"


@pytest.mark.parametrize("text", ["", "plugins = bundled", "plugins = bundled\n"])
def test_a_command_sets_a_setting_in_any_file(tmp_path: Path, text: str) -> None:
    """An empty file, and one without a line end at its end."""
    file = tmp_path / "kong.conf"
    file.write_text(text)
    subprocess.run(["/bin/sh", "-c", read_kong_conf(file, {}).set_command("plugins", "x")], check=True)

    assert parse(file.read_text())["plugins"] == "x"


@pytest.mark.parametrize("line", ["serve", "serve  # comment", "serve --page off"])
def test_a_command_adds_words_to_a_setting(tmp_path: Path, line: str) -> None:
    """At the end of its value, also in front of a comment."""
    file = tmp_path / "kong.conf"
    file.write_text(f"a = 1\nstart = {line}\nb = 2\n")
    subprocess.run(["/bin/sh", "-c", read_kong_conf(file, {}).append_command("start", "--http x:1")], check=True)

    assert parse(file.read_text())["start"].split() == [*line.partition("#")[0].split(), "--http", "x:1"]


def test_the_place_of_a_setting_is_named_if_it_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A running Kong tells its settings, and neither its file nor its variables: a command for these may be wrong."""
    name, file = "pluginserver_otlp_tracing_start_cmd", tmp_path / "kong.conf"
    (tmp_path / ".kong_env").write_text(f"prefix = {tmp_path}\n{name} = sleep infinity\n")

    def commands(environment: dict[str, str]) -> list[str]:
        conf = running_kong_conf(tmp_path, environment)
        assert conf is not None
        assert conf.get(name) == "sleep infinity"
        return [conf.set_command(name, "x"), conf.append_command(name, "x"), conf.unset_command(name)]

    again = shlex.join([command_line()[-1], "doctor", "--kong-conf", "KONG_CONF"])
    monkeypatch.setattr(kong_conf, "DEFAULT_FILES", (file,))
    assert commands({}) == [again] * 3
    file.write_text(f"{name} = sleep infinity\n")  # of a Kong in the usual prefix
    assert commands({}) == [again] * 3
    file.write_text(f"prefix = {tmp_path}\n{name} = sleep infinity\n")
    assert all(one.startswith("sed -i ") and one.endswith(f" {file}") for one in commands({}))
    file.unlink()
    variables = {"KONG_PREFIX": str(tmp_path), f"KONG_{name.upper()}": "sleep infinity"}
    assert commands(variables)[2] == f"unset KONG_{name.upper()}"


def test_our_server_is_known_by_its_commands(tmp_path: Path) -> None:
    """Its name is the user's choice."""
    file = tmp_path / "kong.conf"
    file.write_text("pluginserver_names = js,Traces\npluginserver_traces_query_cmd = /x/otlp-tracing dump\n")

    assert server_name(read_kong_conf(file, {})) == "traces"
