"""The stored verdicts on declarative configurations, asked of a real Kong again."""

from __future__ import annotations

import pytest

from kong_verdicts.asking import ask
from kong_verdicts.cases import cases, stored


def test_the_stored_verdicts_are_kongs(pytestconfig: pytest.Config) -> None:
    """And there is one for each field of the schema as it is now."""
    kong = pytestconfig.getoption("--kong")
    if kong is None:
        pytest.skip("needs --kong: the stand-in has our own schema code")
    every = cases()
    answers = ask(kong.resolve(), every)

    assert {name: accepted for name, (accepted, _) in answers.items()} == {one.name: one.accepted for one in stored()}
    assert len(every) == len(stored()) > 1000
