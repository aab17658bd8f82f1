"""Promises of the detectors, each in its module of sidecar/redaction/; the corpora are in tests/conformance/."""

from __future__ import annotations

import base64
import json

import pytest

from otlp_tracing.config.sensitive_names import SensitiveNames
from otlp_tracing.config.settings import Settings
from otlp_tracing.sidecar.redaction.cost import CostBudget, CostExceeded
from otlp_tracing.sidecar.redaction.detectors import CONTENT_DETECTORS
from otlp_tracing.sidecar.redaction.detectors.credentials import AssignedSecret, Userinfo
from otlp_tracing.sidecar.redaction.scan.finding import Detector
from otlp_tracing.sidecar.redaction.scan.overlaps import merge_overlaps
from otlp_tracing.sidecar.redaction.scan.patterns import Patterns
from otlp_tracing.sidecar.redaction.scan.scan import Scan

NAMES = SensitiveNames(Settings.from_config({}).redaction.sensitive_keys)


def encoded(fields: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(fields, separators=(",", ":")).encode()).decode().rstrip("=")


JWT = f"{encoded({'alg': 'HS256', 'typ': 'JWT'})}.{encoded({'sub': 'alice'})}.c2lnbmF0dXJl"
GITHUB = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hJ6"
PEM = f"-----BEGIN RSA PRIVATE KEY-----{'MIIEowIBAAKCAQEAx2J0' * 3}==-----END RSA PRIVATE KEY-----"
BASIC = base64.b64encode(b"alice:open sesame").decode()


def detector(rule: str) -> Detector:
    special: dict[str, Detector] = {"userinfo": Userinfo(), "sensitive_key": AssignedSecret(NAMES)}
    return special[rule] if rule in special else CONTENT_DETECTORS[rule]()


def found(rule: str, text: str) -> list[str]:
    findings = Scan([detector(rule)], Patterns([])).find([text], CostBudget()).get(0, [])
    return [text[one.start : one.end] for one in merge_overlaps(findings)]


@pytest.mark.parametrize(
    ("rule", "text", "secret"),
    [
        ("email", "mail to alice.b+shop@example.co.uk, please", "alice.b+shop@example.co.uk"),
        ("email", "/users/alice@example.com/orders", "alice@example.com"),
        ("email", "/users/alice%40example.com/orders", "alice%40example.com"),
        ("email", "next=%2Fu%3Fm%3Dalice%2540example.com", "alice%2540example.com"),
        ("email", "user@163.com", "user@163.com"),
        ("jwt", f"k {JWT} .", JWT),
        ("jwt", f"{JWT.rpartition('.')[0]}.", f"{JWT.rpartition('.')[0]}."),
        ("credentials", "Bearer abcdef0123456789abcdef", "abcdef0123456789abcdef"),
        ("credentials", "a=bearer+abcdef0123456789abcdef", "abcdef0123456789abcdef"),
        ("credentials", f"x Basic {BASIC}", BASIC),
        ("userinfo", "see https://alice:pa@ss@host/x", "alice:pa@ss"),
        ("userinfo", "//token@host", "token"),
        ("credit_card", "card 4111 1111 1111 1111 ok", "4111 1111 1111 1111"),
        ("credit_card", "378282246310005", "378282246310005"),
        ("credit_card", "pan=6011-1111-1111-1117&x", "6011-1111-1111-1117"),
        ("iban", "GB82 WEST 1234 5698 7654 32 is it", "GB82 WEST 1234 5698 7654 32"),
        ("iban", "/pay/de89370400440532013000", "de89370400440532013000"),
        ("iban", "DE89-3704-0044-0532-0130-00", "DE89-3704-0044-0532-0130-00"),
        ("iban", "-DE89 370400440532013000", "DE89 370400440532013000"),
        ("iban", "to DE89 37040044 0532013000.", "DE89 37040044 0532013000"),
        ("iban", "DE893704 00440532 013000", "DE893704 00440532 013000"),
        ("cloud_key", f"git clone {GITHUB}", GITHUB),
        ("cloud_key", "AKIA2E0A8F3B244C9986 is it", "AKIA2E0A8F3B244C9986"),
        ("private_key", f"a {PEM} b", PEM),
        ("private_key", "-----BEGIN+PRIVATE+KEY-----MIIE", "-----BEGIN+PRIVATE+KEY-----MIIE"),
        ("sensitive_key", "<apiToken> abc</apiToken>", "abc"),
        ("sensitive_key", 'set("SOME_TOKEN", "abc")', "abc"),
        ("phone", "call +49 30 901820 now", "+49 30 901820"),
        ("phone", "call (212) 555-0123 now", "(212) 555-0123"),
        ("ip", "from 203.0.113.9:80", "203.0.113.9"),
        ("ip", "from 2001:db8::1 to", "2001:db8::1"),
        ("sensitive_key", "failed: password=hunter2; retry", "hunter2"),
        ("sensitive_key", '{"apiKey": "zz top", "a": 1}', "zz top"),
        ("sensitive_key", "r=%2F%3Ftoken%3Dabc%26a%3D1", "abc"),
        ("sensitive_key", "Authorization: Digest abc", "abc"),
        ("sensitive_key", "clientSecret := 'a b'", "a b"),
    ],
)  # fmt: skip
def test_what_is_one_is_found(rule: str, text: str, secret: str) -> None:
    """From its first to its last character, as it was written."""
    assert found(rule, text) == [secret]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("email", "/static/logo@2x.png"),
        ("email", "/npm/vue@3.4.21/dist/vue.global.js"),
        ("email", "/npm/react@18.min.js"),
        ("email", "@scope/package user@localhost"),
        ("jwt", "eyJhbGciOi.not-a-header.at-all"),
        ("jwt", "/ey/eyJ"),
        ("jwt", f"{encoded([1, 2, 3, 4, 5, 6])}.eyJ9.x"),
        ("credentials", "the bearer of this letter, basic authentication, token required"),
        ("credentials", "Basic bm90aGluZ2luaXQ="),
        ("credit_card", "4111111111111112"),
        ("credit_card", "12345678901234567890123456"),
        ("credit_card", "5f3b2c6a-4111-1111-1111-111111111111"),
        ("credit_card", "0.4111111111111111"),
        ("credit_card", "9111111111111111"),
        ("credit_card", "4111 11 1111111111 11"),
        ("iban", "GB82WEST12345698765433"),
        ("iban", "GB82WEST1234569876543"),
        ("iban", "de8937040044053201300012"),
        ("cloud_key", "AKIAXXXXXXXXXXXXXXXX"),
        ("cloud_key", "ghp_short"),
        ("private_key", "-----BEGIN CERTIFICATE-----MIIE"),
        ("phone", "1700000000000 2024-11-22"),
        ("ip", "Chrome/126.0.0.0 Safari/537.36"),
        ("ip", "1.2.3.4.5 999.1.1.1 12:30:15"),
        ("userinfo", "https://host/a@b?c=@d"),
        ("sensitive_key", "monkey=banana keyboard: us author=me"),
        ("sensitive_key", "token=REDACTED&key=hmac:0123abcd:0123456789abcdef"),
        ("sensitive_key", "password= &token="),
        ("sensitive_key", "a token, please; the key, then"),
        ("private_key", "-----BEGIN PRIVATE KEY-----anything-----END PRIVATE KEY-----"),
    ],
)
def test_what_only_looks_like_one_is_left(rule: str, text: str) -> None:
    """Checksums, lengths and what stands around tell."""
    assert found(rule, text) == []


@pytest.mark.parametrize("rule", [*CONTENT_DETECTORS, "userinfo", "sensitive_key"])
def test_a_detector_costs_what_it_may(rule: str) -> None:
    """A search that is not paid for does not begin."""
    with pytest.raises(CostExceeded):
        list(detector(rule).find("x" * 1024 + ":AAEAA k_ gh", CostBudget(100)))
