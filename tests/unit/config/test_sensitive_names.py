"""Promises of config/sensitive_names.py."""

from __future__ import annotations

import pytest

from otlp_tracing.config.sensitive_names import SensitiveNames
from otlp_tracing.config.settings import Settings

NAMES = SensitiveNames(Settings.from_config({}).redaction.sensitive_keys)


@pytest.mark.parametrize(
    "name",
    [
        "api_key", "apiKey", "X-Api-Key", "API_KEY", "key", "password", "userPassword", "access_token", "client-secret",
        "AWSAccessKeyId", "X-Amz-Signature", "sig", "creditCard", "credit_card", "set-cookie", "user[password]",
        "session_id", "sessionId", "passwd", "db_passwd", "pwd", "PWD", "jwt", "X-JWT", "passphrase",
    ],
)  # fmt: skip
def test_a_name_that_promises_a_secret_is_sensitive(name: str) -> None:
    """However its words are put together."""
    assert name in NAMES


@pytest.mark.parametrize(
    "name",
    [
        "apikey", "APIKEY", "xapikey", "creditcard", "socialsecurity", "setcookie", "accesstoken", "authtoken",
        "refreshtoken", "idtoken", "csrftoken", "xsrftoken", "sessiontoken", "clientsecret", "secretkey", "privatekey",
        "accesskey", "sessionid", "JSESSIONID", "PHPSESSID", "user_accesstoken",
    ],
)  # fmt: skip
def test_a_name_without_a_boundary_between_its_words_is_sensitive(name: str) -> None:
    """Clients write them in one word, and a change of capitals removes the border between its parts."""
    assert name in NAMES


@pytest.mark.parametrize(
    "name", ["tokens", "secrets", "passwords", "apikeys", "apiKeys", "api_keys", "creditcards", "access_tokens", "keys"]
)
def test_several_are_as_sensitive_as_one(name: str) -> None:
    """The plural is the same name."""
    assert name in NAMES


def test_a_name_of_ones_own_is_found_in_each_form() -> None:
    """Not only those of the default."""
    names = SensitiveNames(["national_id"])

    assert all(name in names for name in ("national_id", "nationalId", "nationalid", "NATIONAL_IDS", "nationalids"))
    assert not any(name in names for name in ("national", "id", "ids", "national_ideas", "international_id"))


@pytest.mark.parametrize(
    "name",
    [
        "monkey", "monkeys", "keyboard", "tokenize", "tokenizer", "author", "design", "credit",
        "card", "session", "session_count", "client", "client_id", "access", "pass", "cwd", "csrf", "q", "s", "", "é",
    ],
)  # fmt: skip
def test_a_name_that_only_looks_like_one_is_not(name: str) -> None:
    """Words count, not letters."""
    assert name not in NAMES
