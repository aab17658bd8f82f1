"""Promises of sidecar/redaction/pseudonyms.py."""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

import pytest

from doubles import ManualClock
from otlp_tracing.errors import ConfigError
from otlp_tracing.sidecar.redaction.pseudonyms import PSEUDONYM, Pseudonyms

KEY = "0123456789abcdef"


def test_the_same_value_has_the_same_pseudonym() -> None:
    """This holds in every process with the key, and for no other value."""
    first, second = Pseudonyms(KEY), Pseudonyms(KEY)

    assert (
        first.pseudonym("alice@example.com")
        == second.pseudonym("alice@example.com")
        != first.pseudonym("bob@example.com")
    )
    assert Pseudonyms(KEY + "!").pseudonym("alice@example.com") != first.pseudonym("alice@example.com")


def test_a_pseudonym_is_a_truncated_hmac() -> None:
    """With the key, any tool can compute it."""
    pseudonym = Pseudonyms(KEY).pseudonym("alice@example.com")

    assert PSEUDONYM.fullmatch(pseudonym)
    assert pseudonym.endswith(hmac.digest(KEY.encode(), b"alice@example.com", hashlib.sha256)[:8].hex())


def test_a_key_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    """Its first line is the key; without the file the former key stays in use."""
    clock = ManualClock()
    path = tmp_path / "key"
    path.write_text(f"{KEY}\n")
    pseudonyms = Pseudonyms(str(path), clock)
    before = pseudonyms.pseudonym("a")
    path.write_text(f"another-key-of-mine\n{KEY}\n")
    os.utime(path, ns=(1, 1))
    unchanged = pseudonyms.pseudonym("a")
    clock.now += 60
    after = pseudonyms.pseudonym("a")
    path.unlink()
    clock.now += 60

    assert before == unchanged == Pseudonyms(KEY).pseudonym("a")
    assert after == pseudonyms.pseudonym("a") == Pseudonyms("another-key-of-mine").pseudonym("a")


@pytest.mark.parametrize(
    ("key", "rule"),
    [("short", "at least 16 bytes"), ("/nowhere/key", "cannot be read"), ("{vault://env/redaction-key}", "vault")],
)
def test_an_invalid_key_is_refused(key: str, rule: str) -> None:
    """The sentence does not have the key."""
    with pytest.raises(ConfigError, match=rule) as caught:
        Pseudonyms(key)

    assert "short" not in str(caught.value)
