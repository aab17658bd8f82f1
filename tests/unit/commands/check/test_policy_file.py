"""Promises of commands/check/policy_file.py, as `check` shows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from otlp_tracing.commands.check.command import check

GOOD = "sender: a\npolicies:\n- {id: a, name: A, trace: {match: {tags: [b]}, keep: all}}\n"


def test_a_good_policy_file_has_no_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As YAML or JSON; the summary says that it is a policy file."""
    (tmp_path / "policies.yml").write_text(GOOD)
    (tmp_path / "policies.json").write_text('{"policies": []}')

    assert check([tmp_path / "policies.yml", tmp_path / "policies.json"]) == 0
    assert capsys.readouterr().out.count("policy file, no faults") == 2


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        (GOOD.replace("tags", "tag"), "3:36: policies[1].trace.match.tag: no such field; did you mean tags?"),
        (GOOD.replace("all", "some"), "3:48: policies[1].trace.keep = \"some\": must be all, none, or a percentage"),
        (GOOD.replace("tags: [b]", "paths: ['~(']"), "3:36: policies[1].trace.match.paths: must be regular"),
        (GOOD.replace("tags: [b]", "tags: [b], paths: ['~(']"), "3:47: policies[1].trace.match.paths: must be regular"),
        (GOOD + GOOD[20:].replace("id: a", "id: b").replace("tags: [b]", "paths: ['~(']"), "4:36: policies[2]"),
    ],
)  # fmt: skip
def test_the_faults_of_a_policy_have_their_places(
    text: str, finding: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Patterns are tried as well."""
    (tmp_path / "policies.yml").write_text(text)

    assert check([tmp_path / "policies.yml"]) == 2
    assert finding in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("policies: []\npolicies: []\n", "policies is written twice"),
        (GOOD.replace("sender: a", "sender: &s a").replace("name: A", "name: *s"), "aliases (*) are not allowed"),
        (f"{GOOD}---\n{GOOD}", "expected a single document"),
        (f"{GOOD}# {'x' * 70_000}\n", "must be 65536 bytes or less"),
    ],
)
def test_what_the_sidecar_refuses_is_a_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, fault: str
) -> None:
    """Although it is YAML of the right shape."""
    (tmp_path / "policies.yml").write_text(text)

    assert check([tmp_path / "policies.yml"]) == 2
    assert fault in "".join(capsys.readouterr())


def test_a_policy_file_that_all_may_write_is_a_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The sidecar refuses it."""
    (tmp_path / "policies.yml").write_text(GOOD)
    (tmp_path / "policies.yml").chmod(0o666)

    assert check([tmp_path / "policies.yml"]) == 2
    assert "must not be writable for every user" in "".join(capsys.readouterr())
