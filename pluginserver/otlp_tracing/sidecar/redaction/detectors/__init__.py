"""Detectors: one module for each kind of secret that is recognized by its content.

A new detector is a module here, its line in CONTENT_DETECTORS, and its name in config/schema.py.
"""

from collections.abc import Callable, Mapping

from otlp_tracing.sidecar.redaction.detectors.credentials import SchemeCredentials
from otlp_tracing.sidecar.redaction.detectors.email import Email
from otlp_tracing.sidecar.redaction.detectors.ip import IpAddress
from otlp_tracing.sidecar.redaction.detectors.jwt import Jwt
from otlp_tracing.sidecar.redaction.detectors.keys import CloudKey
from otlp_tracing.sidecar.redaction.detectors.payment import CreditCard, Iban
from otlp_tracing.sidecar.redaction.detectors.phone import Phone
from otlp_tracing.sidecar.redaction.detectors.private_key import PrivateKey
from otlp_tracing.sidecar.redaction.scan.finding import Detector

CONTENT_DETECTORS: Mapping[str, Callable[[], Detector]] = {
    "private_key": PrivateKey,
    "jwt": Jwt,
    "credentials": SchemeCredentials,
    "cloud_key": CloudKey,
    "email": Email,
    "credit_card": CreditCard,
    "iban": Iban,
    "phone": Phone,
    "ip": IpAddress,
}
"""By their names in the configuration. The first detector in this order names a finding of several."""
