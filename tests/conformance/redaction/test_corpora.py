"""Measures redaction on samples of other projects; docs/redaction.md has the table.

`UPDATE_DOCS=1 make test` updates the table, `python -m tests.corpora` the samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from checkout import DOCS
from corpora.recall import BY_NAME, FREE_TEXT, Measure, Ratio
from corpora.stored import Corpus, Kind
from documents import hold

DOCUMENT = DOCS / "redaction.md"
SECRETS = ("gitleaks", "detect-secrets", "faker")
ORDINARY = ("urls", "user-agents")

# Kinds of bare secrets that the tool itself finds and redaction does not search, each with the reason.
NOT_BY_FORM = {
    "detect-secrets": {
        "Artifactory Credentials": "`AP` and a digit are also the beginning of words and names",
    },
}
# The clean samples of gitleaks and detect-secrets can hold an e-mail address or a sensitive name.
OTHER_KINDS = {"email", "sensitive_key"}
MEASURE = Measure()


def kinds(name: str) -> Iterator[tuple[str, Kind]]:
    yield from Corpus.read(name).kinds.items()


def is_supported(name: str, kind: str) -> bool:
    return kind not in NOT_BY_FORM.get(name, {})


@cache
def by_name(name: str) -> Ratio:
    return total(MEASURE.recall([*samples.secrets, *samples.named], BY_NAME) for _, samples in kinds(name))


@cache
def of_kind(name: str, kind: str) -> Ratio:
    return MEASURE.recall(Corpus.read(name).kinds[kind].secrets, FREE_TEXT)


def in_free_text(name: str) -> Ratio:
    return total(of_kind(name, kind) for kind, _ in kinds(name) if is_supported(name, kind))


@cache
def in_their_texts(name: str) -> Ratio:
    return total(MEASURE.recall_in_texts(samples.texts) for _, samples in kinds(name))


@cache
def false_positives(name: str) -> Ratio:
    return found_in_clean(name, ignored=frozenset(OTHER_KINDS if name in {"gitleaks", "detect-secrets"} else ()))


@cache
def found_in_clean(name: str, ignored: frozenset[str] = frozenset()) -> Ratio:
    texts = [text for _, samples in kinds(name) for text in samples.negatives]
    return Ratio(sum(bool({*MEASURE.taken_for_secrets(text)} - ignored) for text in texts), len(texts))


def total(ratios: Iterator[Ratio]) -> Ratio:
    return sum(ratios, Ratio(0, 0))


@pytest.mark.parametrize("name", SECRETS)
def test_secrets_with_a_name_are_found(name: str) -> None:
    """In a query, a header, a cookie and a URL's userinfo, 99 % of all kinds are found."""
    assert by_name(name).share >= 0.99


@pytest.mark.parametrize("name", SECRETS)
def test_secrets_with_a_form_are_found(name: str) -> None:
    """In a path, a query, a user agent and a header with an ordinary name, 95 % of the supported kinds are found."""
    assert in_free_text(name).share >= 0.95


def test_secrets_in_their_texts_are_found() -> None:
    """90 % are found, including kinds that only a name before them marks."""
    assert in_their_texts("gitleaks").share >= 0.90


@pytest.mark.parametrize("name", [*SECRETS, *ORDINARY])
def test_clean_texts_are_left(name: str) -> None:
    """At most 1 % of clean samples, ordinary URLs and user agents have a finding."""
    assert false_positives(name).share <= 0.01


def test_the_table_has_the_measured_figures() -> None:
    """The documentation has the figures of this test."""
    hold(DOCUMENT, "corpora", "\n".join([*_summary(), "", *_kinds()]))


def _summary() -> Iterator[str]:
    columns = ("by name", "free text, kinds with a form", "in the sample's text", "false positives")
    yield f"| corpus | {' | '.join(columns)} | with names and addresses |"
    yield "|---|--:|--:|--:|--:|--:|"
    for name in SECRETS:
        shares = (by_name(name), in_free_text(name), in_their_texts(name), false_positives(name), found_in_clean(name))
        yield f"| {_cited(name)} | " + " | ".join(map(str, shares)) + " |"
    for name in ORDINARY:
        yield f"| {_cited(name)} | — | — | — | {false_positives(name)} | {found_in_clean(name)} |"


def _kinds() -> Iterator[str]:
    yield "| corpus | kinds | |"
    yield "|---|---|---|"
    for name in ("gitleaks", "detect-secrets"):
        alone = [kind for kind, samples in kinds(name) if samples.secrets and is_supported(name, kind)]
        named = [kind for kind, samples in kinds(name) if samples.named and not samples.secrets]
        none = [kind for kind, samples in kinds(name) if not samples.named and not samples.secrets]
        part = [kind for kind in alone if of_kind(name, kind).share < 0.95]
        whole = [kind for kind in alone if kind not in part]
        yield f"| {name} | {len(whole)} with a form, all samples found | {_listed(whole)} |"
        if part:
            found = (f"`{kind}` ({of_kind(name, kind)})" for kind in part)
            yield f"| | {len(part)} with a form, not all found | {', '.join(found)} |"
        for kind, reason in NOT_BY_FORM.get(name, {}).items():
            yield f"| | not searched by form | `{kind}` ({of_kind(name, kind)} found): {reason} |"
        yield f"| | {len(named)} that the tool finds by a name before them: found by name only | {_listed(named)} |"
        if none:
            yield f"| | {len(none)} without a sample | {_listed(none)} |"


def _cited(name: str) -> str:
    corpus = Corpus.read(name)
    return f"[{name}]({corpus.source.partition(',')[0]}) {corpus.version.removeprefix('v0.0.0-')[:8]}"


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"
