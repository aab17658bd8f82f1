"""Promises of sidecar/redaction/query.py."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otlp_tracing.config.sensitive_names import SensitiveNames
from otlp_tracing.config.settings import Settings
from otlp_tracing.sidecar.redaction.query import QueryRedactor


class Masking:
    def __init__(self, **redaction: Any) -> None:
        settings = Settings.from_config({"redaction": redaction}).redaction
        self._redactor = QueryRedactor(settings, SensitiveNames.from_settings(settings))

    def redact(self, query: str) -> str:
        return self._redactor.redact(query, lambda _value: "REDACTED")

    def redact_url(self, url: str) -> str:
        return self._redactor.redact_url(url, lambda _value: "REDACTED")


@pytest.mark.parametrize(
    ("query", "redacted"),
    [
        ("q=shoes", "q=shoes"),
        ("token=abc&q=shoes&token=def", "token=REDACTED&q=shoes&token=REDACTED"),
        ("api%5Fkey=abc", "api%5Fkey=REDACTED"),
        ("api+key=abc", "api+key=REDACTED"),
        ("token=a=b=c", "token=REDACTED"),
        ("token=&password", "token=&password"),
        ("&&=&%zz=1&", "&&=&%zz=1&"),
    ],
)
def test_sensitive_parameters_lose_their_values(query: str, redacted: str) -> None:
    """Repeated, encoded, empty and malformed parameters keep their form."""
    assert Masking().redact(query) == redacted


def test_all_none_and_safe() -> None:
    """All parameters can be hidden, or none, and a name can be safe."""
    assert Masking(query="all", safe_query=["page"]).redact("q=a&page=2") == "q=REDACTED&page=2"
    assert Masking(query="none").redact("token=a") == "token=a"
    assert Masking(safe_query=["sort_key"]).redact("sort_key=a&key=b") == "sort_key=a&key=REDACTED"


@pytest.mark.parametrize(
    ("query", "redacted"),
    [
        ("secretvalue&x=1", "REDACTED&x=REDACTED"),
        ("secretvalue", "REDACTED"),
        ("a%20secret", "REDACTED"),
        ("page&debug=1", "page&debug=REDACTED"),
        ("name=&=value&&", "name=&=REDACTED&&"),
    ],
)
def test_with_all_a_parameter_without_a_name_is_redacted(query: str, redacted: str) -> None:
    """It may be the value itself, unless it is safe."""
    assert Masking(query="all", safe_query=["page"]).redact(query) == redacted


def test_a_parameter_without_a_name_is_decoded() -> None:
    """Its pseudonym is made of the decoded value, and drop removes it."""
    redactor = QueryRedactor(Settings.from_config({"redaction": {"query": "all"}}).redaction, SensitiveNames([]))

    assert redactor.redact("a%20b&x=1", str.upper) == "A B&x=1"
    assert redactor.redact("a%20b&x=1", lambda _value: None) == ""
    assert redactor.redact_url("/p?a#end", str.upper) == "/p?A#end"


@given(st.text())
def test_any_query_keeps_its_number_of_parameters(query: str) -> None:
    """This holds for any text."""
    assert Masking(query="all").redact(query).count("&") == query.count("&")


LOGIN = [
    "SAMLResponse", "SAMLRequest", "samlart", "id_token_hint", "assertion", "client_assertion", "code_verifier",
    "code_challenge", "device_code", "user_code", "oauth_verifier", "session_state", "login_hint", "bearer",
    "credentials", "hmac", "otp", "totp", "passcode", "pin", "pass", "nonce", "tgt", "one_time_code",
    "one-time-code", "verificationCode", "mfa_code", "sms_code", "2fa_code", "connect.sid",
    "confirmation_code", "twoFactorCode", "recovery-code", "_csrf", "XSRF-TOKEN", "pw", "cvv",
]  # fmt: skip


@pytest.mark.parametrize("name", LOGIN)
def test_login_parameters_are_sensitive(name: str) -> None:
    """Those of OAuth 2, OpenID Connect, SAML and one-time codes, whatever their value."""
    assert Masking().redact(f"a=1&{name}=x") == f"a=1&{name}=REDACTED"


@pytest.mark.parametrize("name", ["pin_color", "passive", "session_count", "country_code", "state_id", "opinion"])
def test_names_that_begin_alike_are_left(name: str) -> None:
    """A name is compared as a whole, or by its words."""
    assert Masking().redact(f"{name}=x") == f"{name}=x"


def test_a_code_is_sensitive_in_a_login() -> None:
    """With its state and in a fragment; a country, and a name that is declared safe, stay."""
    assert Masking().redact("code=SplxlOBe&state=xyz&page=2") == "code=REDACTED&state=REDACTED&page=2"
    assert Masking().redact("code=US&state=CA") == "code=US&state=CA"
    assert Masking(safe_query=["code"]).redact("code=493817") == "code=493817"
    assert Masking().redact_url("https://app/cb?a=1#code=493817&a=2") == "https://app/cb?a=1#code=REDACTED&a=2"
    assert Masking().redact_url("/cb#top") == "/cb#top"


def test_without_sensitive_names_no_login_is_redacted() -> None:
    """An entry with an empty list of names redacts nothing by name."""
    assert Masking(sensitive_keys=[]).redact("otp=1&code=493817") == "otp=1&code=493817"
