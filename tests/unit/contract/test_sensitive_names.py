"""Promises of contract/sensitive_names.py."""

from __future__ import annotations

import pytest

from otlp_tracing.contract.sensitive_names import SensitiveNames
from otlp_tracing.contract.settings import Settings

NAMES = SensitiveNames(Settings.from_config({}).redaction.sensitive_keys)


@pytest.mark.parametrize(
    "name",
    [
        "api_key", "apiKey", "X-Api-Key", "API_KEY", "key", "password", "userPassword", "access_token", "client-secret",
        "AWSAccessKeyId", "X-Amz-Signature", "sig", "creditCard", "credit_card", "set-cookie", "user[password]",
    ],
)  # fmt: skip
def test_a_name_that_promises_a_secret_is_sensitive(name: str) -> None:
    """However its words are put together."""
    assert name in NAMES


@pytest.mark.parametrize("name", ["monkey", "keyboard", "tokenize", "author", "design", "credit", "card", "q", "", "é"])
def test_a_name_that_only_looks_like_one_is_not(name: str) -> None:
    """Words count, not letters."""
    assert name not in NAMES
