"""Redaction of finished spans: the last thing before they are encoded, stored, shown or sent.

First by name, where a string's place says what it is: a query, a header, a baggage member. Then by content,
every string. Pure but for the key of pseudonyms, which can lie in a file.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Literal

from otlp_tracing.config.sensitive_names import SensitiveNames
from otlp_tracing.config.settings import Redaction
from otlp_tracing.sidecar.redaction.cost import CANDIDATE, NAMES_BUDGET_PER_KIB, PARAMETER, OverBudget, Work, budget
from otlp_tracing.sidecar.redaction.detectors.contact import Email, Phone
from otlp_tracing.sidecar.redaction.detectors.credentials import AssignedSecret, SchemeCredentials, Userinfo
from otlp_tracing.sidecar.redaction.detectors.ip import IpAddress
from otlp_tracing.sidecar.redaction.detectors.jwt import Jwt
from otlp_tracing.sidecar.redaction.detectors.keys import CloudKey
from otlp_tracing.sidecar.redaction.detectors.patterns import Patterns
from otlp_tracing.sidecar.redaction.detectors.payment import CreditCard, Iban
from otlp_tracing.sidecar.redaction.detectors.private_key import PrivateKey
from otlp_tracing.sidecar.redaction.query import QueryRedactor
from otlp_tracing.sidecar.redaction.replacement import Replacements
from otlp_tracing.sidecar.redaction.scan.finding import BUDGET_RULE, Detector, Finding
from otlp_tracing.sidecar.redaction.scan.overlaps import without_hosts, without_overlaps
from otlp_tracing.sidecar.redaction.scan.scan import Scan
from otlp_tracing.sidecar.redaction.string_kinds import IN_URL, Place, Places
from otlp_tracing.sidecar.redaction.strings import ALWAYS_THERE, TRACE_STATE, SpanStrings
from otlp_tracing.sidecar.spans.model import SpanRecord

__all__ = ["CONTENT_DETECTORS", "LENGTH_RULE", "OWN_RULES", "Action", "Note", "Redactor", "cautions", "shared_redactor"]

_log = logging.getLogger("otlp_tracing.sidecar.redaction")

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
"""By their names in the configuration, in the order in which they name what several of them find."""

# nginx takes 8 KiB for a request line or a header unless told otherwise; what is longer than half of it tells
# a reader nothing. The last 512 characters before the cut were looked at and go: a secret that the cut
# would divide is known by its beginning.
_LONGEST = 4096
_KEPT = _LONGEST - 512
_CUT_MARK = "…"
# Put where the cut is: `//` without an end of the authority up to there is longer than a host can be (RFC 1035:
# 253 characters), so it is a user or a password whose `@` was cut off.
_USERINFO_END = "@"
LENGTH_RULE = "length"
"""The rule of a string that lost its end for being too long."""

OWN_RULES = frozenset({*CONTENT_DETECTORS, AssignedSecret.rule, Userinfo.rule, BUDGET_RULE, LENGTH_RULE})
"""Every rule that is not a person's own pattern."""

_SHARED = 64  # redactors kept; one takes 80 kB and 2 ms

Action = Literal["redacted", "reported"]
"""What became of a finding; reported: dry_run let it go."""

Note = Callable[[str, str, Action, str], None]
"""Told of a finding: the attribute (or SPAN_NAME or TRACE_STATE), the rule, what became of it, and the value."""

# Never only reported: these do not look for anything, they are told by a name, or are there to bound the cost.
_ALWAYS = frozenset({AssignedSecret.rule, Userinfo.rule, BUDGET_RULE})


class Redactor:
    """Redacts the spans of one plugin entry.

    Args:
        redaction: of the entry.

    Raises:
        ConfigError: for a pattern or a key that cannot be used.
    """

    def __init__(self, redaction: Redaction) -> None:
        sensitive = SensitiveNames([*redaction.sensitive_keys, *redaction.extra_sensitive_keys])
        self._places = Places(sensitive)
        self._query = QueryRedactor(redaction, sensitive)
        self._scan = Scan(list(_detectors(redaction, sensitive)), Patterns(redaction.patterns))
        self._replacements = Replacements.of(redaction)
        self._dry_run = redaction.dry_run
        self._keeps_queries = redaction.query == "none"
        self._hides_every_query = redaction.query == "all"

    def redact(self, span: SpanRecord, note: Note) -> SpanRecord:
        """Return the span without what must not leave; the same one where there is nothing of that.

        Args:
            span: finished.
            note: told of every finding.
        """
        strings = SpanStrings(span)
        try:
            self._redact(strings, note)
        except UnicodeEncodeError:
            strings = SpanStrings(span)
            strings.make_encodable()
            self._redact(strings, note)
        return strings.span()

    def _redact(self, strings: SpanStrings, note: Note) -> None:
        work = Work()
        for index, place in self._places.of_all(tuple(strings.names)):
            strings.put(index, self._by_name(place, strings.names[index], strings.texts[index], work, note))
        too_long: dict[int, str] = {}
        if len(max(strings.texts, key=len)) > _LONGEST:
            too_long = {index: text for index, text in enumerate(strings.texts) if len(text) > _LONGEST}
            for index, text in too_long.items():
                strings.put(index, text[:_LONGEST] + _USERINFO_END)
        found = self._scan.find(strings.texts, work)
        for index in sorted(found.keys() | too_long.keys()):
            name, text = strings.names[index], strings.texts[index]
            if index in too_long:
                note(name, LENGTH_RULE, "redacted", too_long[index])
                text = text[:_KEPT]
            left = self._by_content(name, text, found.get(index, ()), note)
            strings.put(index, left + _CUT_MARK if left is not None and index in too_long else left)

    def _by_name(self, place: Place, name: str, text: str, work: Work, note: Note) -> str | None:
        if place is not Place.TOLD_BY_NAME and "=" not in text and not self._hides_every_query:
            return text
        allowed = Work(min(budget(NAMES_BUDGET_PER_KIB, text), work.left))

        def replace(value: str) -> str | None:
            allowed.spend(CANDIDATE)
            note(name, AssignedSecret.rule, "redacted", value)
            return self._replacements.of_value(AssignedSecret.rule, value, in_url=place is not Place.TOLD_BY_NAME)

        try:
            if place is Place.TOLD_BY_NAME:
                return replace(text) if text else text
            allowed.spend(len(text) + PARAMETER * text.count("&"))
            return (self._query.redact if place is Place.QUERY else self._query.redact_target)(text, replace)
        except OverBudget:
            note(name, BUDGET_RULE, "redacted", text)
            return self._replacements.mask(in_url=place in IN_URL)
        finally:
            work.left = max(0, work.left - allowed.spent)

    def _by_content(self, name: str, text: str, findings: Sequence[Finding], note: Note) -> str | None:
        place = self._places.of(name)
        in_url = place in IN_URL or name == TRACE_STATE  # which may not have brackets either
        names_count = place is not Place.CONFIGURED and not (self._keeps_queries and in_url)
        counting = without_hosts([one for one in findings if names_count or one.rule != AssignedSecret.rule])
        pieces, at = [], 0
        if self._dry_run:
            for finding in without_overlaps(one for one in counting if one.rule not in _ALWAYS):
                if finding.start < len(text):
                    note(name, finding.rule, "reported", finding.value)
            counting = [one for one in counting if one.rule in _ALWAYS]
        for finding in without_overlaps(counting):
            if finding.start >= len(text):
                break
            note(name, finding.rule, "redacted", finding.value)
            stands = self._replacements.of_value(finding.rule, finding.value, in_url=in_url)
            if stands is None and name not in ALWAYS_THERE:
                return None
            pieces += [text[at : finding.start], stands or self._replacements.mask(in_url=in_url)]
            at = finding.end
        return "".join([*pieces, text[at:]])


@lru_cache(maxsize=_SHARED)
def shared_redactor(redaction: Redaction) -> Redactor:
    """Return the redactor of these settings, and say once what should be known of them; entries that agree share it.

    Raises:
        ConfigError: as Redactor does.
    """
    redactor = Redactor(redaction)
    for caution in cautions(redaction):
        _log.warning("%s", caution)
    return redactor


def cautions(redaction: Redaction) -> Iterator[str]:
    """Return what a configuration says that could surprise the one who wrote it."""
    if redaction.dry_run:
        yield "redaction.dry_run: what detectors and patterns find is reported and LEAVES AS IT IS"
    modes = {redaction.mode, *(one.mode for one in redaction.modes), *(one.mode for one in redaction.patterns)}
    if "hash" in modes and not redaction.hash_key:
        yield "redaction.hash_key is unset: what hash stands for is masked"


def _detectors(redaction: Redaction, sensitive: SensitiveNames) -> Iterator[Detector]:
    yield Userinfo()
    yield from (make() for name, make in CONTENT_DETECTORS.items() if name in redaction.detectors)
    yield AssignedSecret(sensitive, frozenset(redaction.safe_query))
