"""Promises of sidecar/redaction/detectors/keys.py."""

from __future__ import annotations

import pytest

from detecting import found

GITHUB = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hJ6"


@pytest.mark.parametrize(
    ("rule", "text", "secret"),
    [
        ("cloud_key", f"git clone {GITHUB}", GITHUB),
        ("cloud_key", "AKIA2E0A8F3B244C9986 is it", "AKIA2E0A8F3B244C9986"),
    ],
)
def test_a_secret_is_found_whole(rule: str, text: str, secret: str) -> None:
    """The finding has its first and its last character, as they were written."""
    assert found(rule, text) == [secret]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("cloud_key", "AKIAXXXXXXXXXXXXXXXX"),
        ("cloud_key", "ghp_short"),
    ],
)
def test_a_similar_text_is_left(rule: str, text: str) -> None:
    """Checksums, lengths and the characters around it distinguish it."""
    assert found(rule, text) == []
