"""Redaction of finished spans, the last step before they are encoded, stored, shown or sent.

First by name, for strings of attributes of a known kind: a query, a header, a baggage member. Then by content, for
all strings. Pure, except that the key of pseudonyms may be in a file.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final, Literal

from otlp_tracing.config.sensitive_names import SensitiveNames
from otlp_tracing.config.settings import Redaction, SpanAttribute
from otlp_tracing.sidecar.redaction.cost import (
    CANDIDATE,
    NAMES_BUDGET_PER_KIB,
    PARAMETER,
    CostBudget,
    CostExceeded,
    units_of,
)
from otlp_tracing.sidecar.redaction.detectors import CONTENT_DETECTORS
from otlp_tracing.sidecar.redaction.detectors.assigned_secret import AssignedSecret
from otlp_tracing.sidecar.redaction.detectors.credentials import Userinfo
from otlp_tracing.sidecar.redaction.query import QueryRedactor
from otlp_tracing.sidecar.redaction.replacement import Replacements
from otlp_tracing.sidecar.redaction.scan.finding import BUDGET_RULE, Detector, Finding
from otlp_tracing.sidecar.redaction.scan.overlaps import merge_overlaps, without_hosts
from otlp_tracing.sidecar.redaction.scan.patterns import Patterns
from otlp_tracing.sidecar.redaction.scan.scan import Scan
from otlp_tracing.sidecar.redaction.string_kinds import (
    IN_URL,
    REQUIRED,
    SPAN_NAME,
    TRACE_STATE,
    StringKind,
    StringKinds,
)
from otlp_tracing.sidecar.spans.model import Attributes, AttributeValue, SharedAttributes, SpanRecord

_log = logging.getLogger("otlp_tracing.sidecar.redaction")

# nginx accepts 8 KiB for a request line or a header by default; a longer string than half of it tells a reader
# nothing. The last 512 characters before the cut are scanned and removed: a secret that the cut divides is
# recognized by its beginning.
_MAX_LENGTH: Final = 4096
_KEPT_LENGTH: Final = _MAX_LENGTH - 512
_CUT_MARK: Final = "…"
# Appended at the cut. If the authority after `//` reaches up to there, it is longer than a host can be (RFC 1035: 253
# characters), so it is a user or a password, and its `@` was cut off.
_USERINFO_END: Final = "@"
LENGTH_RULE = "length"
"""The rule of a string that is cut because of its length."""

OWN_RULES = frozenset({*CONTENT_DETECTORS, AssignedSecret.rule, Userinfo.rule, BUDGET_RULE, LENGTH_RULE})
"""All rules but the user's patterns."""

_MAX_SHARED = 64  # cached redactors; one takes 80 kB and 2 ms

Action = Literal["redacted", "reported"]
"""The fate of a finding; reported: dry_run left it in place."""

OnFinding = Callable[[str, str, Action, str], None]
"""Called with each finding: the attribute (or SPAN_NAME or TRACE_STATE), the rule, the action, and the value."""

# Redacted in a dry run as well: these follow a name, or bound the cost, and cannot take a wrong value.
_ALWAYS_REDACTED = frozenset({AssignedSecret.rule, Userinfo.rule, BUDGET_RULE})


class Redactor:
    """Redacts the spans of one plugin entry.

    Args:
        redaction: of the entry.
        own: attributes of the entry's own.

    Raises:
        ConfigError: for an invalid pattern or key.
    """

    def __init__(self, redaction: Redaction, own: tuple[SpanAttribute, ...] = ()) -> None:
        sensitive = SensitiveNames.from_settings(redaction)
        self._kinds = StringKinds(sensitive, redaction, own)
        self._query = QueryRedactor(redaction, sensitive)
        self._scan = Scan(list(_detectors(redaction, sensitive)), Patterns(redaction.patterns))
        self._replacements = Replacements.from_settings(redaction)
        self._dry_run = redaction.dry_run
        self._keeps_queries = redaction.query == "none"
        self._hides_all_queries = redaction.query == "all"

    def redact(self, span: SpanRecord, on_finding: OnFinding, budget: CostBudget | None = None) -> SpanRecord:
        """Return the span without its secrets; the same object if it has no secret.

        Args:
            span: finished.
            on_finding: is called with each finding.
            budget: for this span; None for SPAN_BUDGET.
        """
        try:
            return self._redact(span, on_finding, budget or CostBudget())
        except UnicodeEncodeError:
            return self._redact(_span_without_surrogates(span), on_finding, budget or CostBudget())

    def redact_attributes(
        self,
        attributes: Attributes,
        on_finding: OnFinding,
        budget: CostBudget | None = None,
        shared: SharedAttributes | None = None,
    ) -> tuple[Attributes, SharedAttributes | None]:
        """Return attributes without their secrets, as those of a span; the same object if they have no secret.

        And those that are still shared; None without any.

        Args:
            attributes: of a log record or a metric.
            on_finding: is called with each finding.
            budget: for all of them; None for SPAN_BUDGET.
            shared: the first of the attributes, see SpanRecord.
        """
        try:
            return self._redact_attributes(attributes, shared, on_finding, budget or CostBudget())
        except UnicodeEncodeError:
            valid = _attributes_without_surrogates(attributes)
            return self._redact_attributes(valid, None, on_finding, budget or CostBudget())

    def _redact(self, span: SpanRecord, on_finding: OnFinding, budget: CostBudget) -> SpanRecord:
        attributes = self._redact_names(span.attributes, on_finding, budget)
        shared = _still_shared(span.shared, span.attributes, attributes)
        replaced = self._redact_texts(_texts_of(span), attributes, shared, on_finding, budget)
        if replaced:
            return _with_texts(span, attributes, replaced, self._begin(shared))
        return span if attributes is span.attributes else span.with_attributes(attributes, shared)

    def _redact_attributes(
        self, given: Attributes, shared: SharedAttributes | None, on_finding: OnFinding, budget: CostBudget
    ) -> tuple[Attributes, SharedAttributes | None]:
        attributes = self._redact_names(given, on_finding, budget)
        shared = _still_shared(shared, given, attributes)
        replaced = self._redact_texts([], attributes, shared, on_finding, budget)
        if replaced:
            begin = self._begin(shared)
            return _with_values(attributes, replaced, 0, begin), shared if begin else None
        return attributes, shared

    def _begin(self, shared: SharedAttributes | None) -> int:
        # The shared attributes of which nothing is known are scanned with the others.
        return len(shared.attributes) if shared is not None and shared.clean_by is self._scan else 0

    def _redact_names(self, given: Attributes, on_finding: OnFinding, budget: CostBudget) -> Attributes:
        attributes = given
        for name, kind in self._kinds.redacted_by_name(tuple(attributes)):
            value = attributes[name]
            if isinstance(value, str):
                redacted: AttributeValue | None = self._redact_by_name(kind, name, value, on_finding, budget)
            elif isinstance(value, list):
                lines = [self._redact_by_name(kind, name, line, on_finding, budget) for line in value]
                redacted = [line for line in lines if line is not None] or None
            else:
                continue
            if redacted != value:
                attributes = _with_value(attributes, name, redacted)
        return attributes

    def _redact_texts(
        self,
        texts: list[str],
        attributes: Attributes,
        shared: SharedAttributes | None,
        on_finding: OnFinding,
        budget: CostBudget,
    ) -> dict[int, str | None]:
        """Return the strings to replace, by index: the span's own come first, then those of its scanned attributes.

        Args:
            texts: the span's own.
            attributes: of the span.
            shared: the first of the attributes; they are not scanned again once no secret was found in them.
            on_finding: is called with each finding.
            budget: is spent.
        """
        own, begin = len(texts), self._begin(shared)
        _add_texts(texts, attributes, begin)
        cut: dict[int, str] = {}
        for text in texts:
            if len(text) > _MAX_LENGTH:
                cut = {index: text for index, text in enumerate(texts) if len(text) > _MAX_LENGTH}
                break
        if cut:
            for index, text in cut.items():
                texts[index] = text[:_MAX_LENGTH] + _USERINFO_END
        found = self._scan.find(texts, budget)
        if not found and not cut:
            if shared is not None:
                shared.clean_by = self._scan
            return {}
        return self._replace_findings(_names_of_texts(own, attributes, begin), texts, cut, found, on_finding)

    def _redact_by_name(
        self, kind: StringKind, name: str, text: str, on_finding: OnFinding, budget: CostBudget
    ) -> str | None:
        if not text or (kind is not StringKind.SECRET and "=" not in text and not self._hides_all_queries):
            return text
        part = budget.part(units_of(text, NAMES_BUDGET_PER_KIB))

        def replace(value: str) -> str | None:
            part.spend(CANDIDATE)
            on_finding(name, AssignedSecret.rule, "redacted", value)
            in_url = kind is not StringKind.SECRET
            return self._replacements.replacement(AssignedSecret.rule, value, in_url=in_url)

        try:
            if kind is StringKind.SECRET:
                return replace(text)
            part.spend(len(text) + PARAMETER * text.count("&"))
            return (self._query.redact if kind is StringKind.QUERY else self._query.redact_url)(text, replace)
        except CostExceeded:
            on_finding(name, BUDGET_RULE, "redacted", text)
            return self._replacements.mask(in_url=kind in IN_URL)

    def _replace_findings(
        self,
        names: Sequence[str],
        texts: Sequence[str],
        cut: Mapping[int, str],
        found: Mapping[int, Sequence[Finding]],
        on_finding: OnFinding,
    ) -> dict[int, str | None]:
        replaced: dict[int, str | None] = {}
        for index in sorted(found.keys() | cut.keys()):
            name, text = names[index], texts[index]
            if index in cut:
                on_finding(name, LENGTH_RULE, "redacted", cut[index])
                text = text[:_KEPT_LENGTH]
            left = self._redact_by_content(name, text, found.get(index, ()), on_finding)
            if index in cut and left is not None:
                left += _CUT_MARK
            if left != texts[index]:
                replaced[index] = left
        return replaced

    def _redact_by_content(
        self, name: str, text: str, findings: Sequence[Finding], on_finding: OnFinding
    ) -> str | None:
        kind = self._kinds.kind(name)
        in_url = kind in IN_URL or name == TRACE_STATE  # a tracestate may not hold brackets either
        names_count = kind is not StringKind.CONFIGURED and not (self._keeps_queries and in_url)
        counting = without_hosts([one for one in findings if names_count or one.rule != AssignedSecret.rule])
        if self._dry_run:
            for finding in merge_overlaps(one for one in counting if one.rule not in _ALWAYS_REDACTED):
                if finding.start < len(text):
                    on_finding(name, finding.rule, "reported", finding.value)
            counting = [one for one in counting if one.rule in _ALWAYS_REDACTED]
        pieces, end = [], 0
        for finding in merge_overlaps(counting):
            if finding.start >= len(text):
                break
            on_finding(name, finding.rule, "redacted", finding.value)
            replacement = self._replacements.replacement(finding.rule, finding.value, in_url=in_url)
            if replacement is None and name not in REQUIRED:
                return None
            pieces += [text[end : finding.start], replacement or self._replacements.mask(in_url=in_url)]
            end = finding.end
        return "".join([*pieces, text[end:]])


@lru_cache(maxsize=_MAX_SHARED)
def shared_redactor(redaction: Redaction, own: tuple[SpanAttribute, ...] = ()) -> Redactor:
    """Return the redactor of these settings and log their warnings once; entries with equal settings share it.

    Raises:
        ConfigError: as Redactor does.
    """
    redactor = Redactor(redaction, own)
    for field, text in redaction_warnings(redaction):
        _log.warning("%s: %s", field, text)
    return redactor


def redaction_warnings(redaction: Redaction) -> Iterator[tuple[str, str]]:
    """Give a field and a warning for each setting that could surprise its author."""
    if redaction.dry_run:
        yield "redaction.dry_run", "findings of detectors and patterns are reported and LEAVE UNREDACTED"
    modes = {redaction.mode, *(one.mode for one in redaction.modes), *(one.mode for one in redaction.patterns)}
    if "hash" in modes and not redaction.hash_key:
        yield "redaction.hash_key", "is unset: the mode hash masks values"


def _detectors(redaction: Redaction, sensitive: SensitiveNames) -> Iterator[Detector]:
    yield Userinfo()
    yield from (make() for name, make in CONTENT_DETECTORS.items() if name in redaction.detectors)
    yield AssignedSecret(sensitive, frozenset(redaction.safe_query))


def _still_shared(
    shared: SharedAttributes | None, given: Attributes, attributes: Attributes
) -> SharedAttributes | None:
    """Return the shared attributes if redaction by name, which made attributes of the given ones, left them."""
    if shared is None or attributes is given:
        return shared
    are_left = all(attributes.get(name) == value for name, value in shared.attributes.items())
    return shared if are_left else None


def _texts_of(span: SpanRecord) -> list[str]:
    texts = [span.name, span.trace_state]
    for link in span.links:
        texts.append(link.trace_state)  # in the compiled form a comprehension costs a call
    return texts


def _add_texts(texts: list[str], attributes: Attributes, begin: int = 0) -> None:
    for value in attributes.values():
        if begin > 0:
            begin -= 1
        elif isinstance(value, str):
            texts.append(value)
        elif isinstance(value, list):
            texts += value


def _names_of_texts(own: int, attributes: Attributes, begin: int) -> list[str]:
    names = [SPAN_NAME, *[TRACE_STATE] * own][:own]
    for name, value in list(attributes.items())[begin:]:
        names += [name] * (len(value) if isinstance(value, list) else int(isinstance(value, str)))
    return names


def _with_value(attributes: Attributes, name: str, value: AttributeValue | None) -> Attributes:
    changed = dict(attributes)
    if value is None:
        del changed[name]
    else:
        changed[name] = value
    return changed


def _with_texts(
    span: SpanRecord, attributes: Attributes, replaced: Mapping[int, str | None], begin: int = 0
) -> SpanRecord:
    """Return the span with some of its strings replaced; None drops one.

    Args:
        span: whose strings they are.
        attributes: of the span, as far as they are redacted.
        replaced: the strings, by index.
        begin: number of attributes that stay, the shared ones or none.
    """
    links = tuple(
        dataclasses.replace(link, trace_state=replaced.get(number, link.trace_state) or "")
        for number, link in enumerate(span.links, 2)
    )
    return dataclasses.replace(
        span,
        name=replaced.get(0, span.name) or "",
        trace_state=replaced.get(1, span.trace_state) or "",
        links=links,
        attributes=_with_values(attributes, replaced, 2 + len(links), begin),
        shared=span.shared if begin else None,
    )


def _with_values(attributes: Attributes, replaced: Mapping[int, str | None], index: int, begin: int = 0) -> Attributes:
    """Return attributes with some of their strings replaced, from the attribute with the number `begin` on.

    The first string of these has the given index.
    """
    changed: Attributes = {}
    for number_of_attribute, (name, value) in enumerate(attributes.items()):
        left: AttributeValue | None = value
        if number_of_attribute < begin:
            pass
        elif isinstance(value, str):
            left = replaced.get(index, value)
            index += 1
        elif isinstance(value, list):
            texts = [replaced.get(number, text) for number, text in enumerate(value, index)]
            left = value if texts == value else [text for text in texts if text is not None] or None
            index += len(value)
        if left is not None:
            changed[name] = left
    return changed


def _span_without_surrogates(span: SpanRecord) -> SpanRecord:
    """Replace lone surrogates, which UTF-8 cannot encode; Kong writes none, another log plugin could."""
    texts = {index: _without_surrogates(text) for index, text in enumerate(_texts_of(span))}
    return _with_texts(span, _attributes_without_surrogates(span.attributes), texts)


def _attributes_without_surrogates(attributes: Attributes) -> Attributes:
    texts: list[str] = []
    _add_texts(texts, attributes)
    return _with_values(attributes, {index: _without_surrogates(text) for index, text in enumerate(texts)}, 0)


def _without_surrogates(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
