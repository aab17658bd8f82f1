"""Verdicts on declarative configurations, asked of a real Kong."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from checkout import TESTDATA
from kong_verdicts.asking import ask
from kong_verdicts.cases import Verdict, cases, stored
from otlp_tracing.commands.check.command import check

CONVERTED = sorted((TESTDATA / "dumps" / "converted").glob("*.written.yml"))


@pytest.mark.timeout(900)  # a minute of work, on a machine that may be busy
def test_the_check_agrees_with_kong(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    """On each field of the schema as it is now, on the stored files, and on the output of `check --from --write`."""
    kong = pytestconfig.getoption("--kong")
    if kong is None:
        pytest.skip("needs --kong: the stand-in has our own schema code")
    # A dump has other plugins too, whose fields an older Kong does not have.
    version = subprocess.run([str(kong), "version"], capture_output=True, text=True, check=True).stdout.strip()[:3]
    converted = [one for one in CONVERTED if version in one.name]
    every = [*cases(), *(Verdict(f"converted/{one.name}", one.read_bytes(), accepted=True) for one in converted)]
    accepted = {name: is_accepted for name, (is_accepted, _) in ask(kong.resolve(), every).items()}

    known = {one.name: one.accepted for one in stored() if one.name in accepted}
    assert {name: accepted[name] for name in known} == known
    assert len(known) > 1000
    wrong = []
    for one in every:
        file = tmp_path / f"kong{Path(one.name).suffix}"
        file.write_bytes(one.content)
        if (check([file]) == 0) == (accepted[one.name] == bool(one.differs)):
            wrong.append(one.name)
    assert wrong == []
    assert all(accepted[one.name] for one in every if one.name.startswith("converted/"))
