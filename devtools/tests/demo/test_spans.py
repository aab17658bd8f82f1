"""Spans as they arrive, and the traces they make."""

from __future__ import annotations

import itertools

from otlp_tracing_devtools.demo.spans import REQUEST_ID, SeenSpan, TraceBook, is_complete, tree_order


def span(span_id: str, parent: str = "", start: int = 0, *, service: str = "s", kind: str = "SERVER") -> SeenSpan:
    return SeenSpan("t", span_id, parent, service, span_id, kind, start, start + 1)


def shape(spans: list[SeenSpan]) -> list[tuple[int, str]]:
    return [(depth, one.span_id) for depth, one in tree_order(spans)]


def test_a_tree_is_in_order_whatever_came_first() -> None:
    """Parents before children, siblings by start."""
    spans = [span("a"), span("b", "a", 2), span("c", "b", 3), span("d", "a", 1)]

    orders = {tuple(shape(list(arrived))) for arrived in itertools.permutations(spans)}

    assert orders == {((0, "a"), (1, "d"), (1, "b"), (2, "c"))}


def test_every_span_is_in_the_tree_once() -> None:
    """Orphans are roots; spans that name each other, or themselves, as parent are there all the same."""
    spans = [span("a", "missing"), span("b", "c"), span("c", "b"), span("d", "d"), span("e", "a", 4)]

    rows = shape(spans)

    assert sorted(name for _, name in rows) == ["a", "b", "c", "d", "e"]
    assert rows[:2] == [(0, "a"), (1, "e")]


def test_a_trace_is_complete_when_nothing_can_be_missing() -> None:
    """Taking any one span away makes it incomplete; a parent outside of it does not."""
    spans = [
        span("a", "caller", service="gateway"),
        span("b", "a", service="gateway", kind="CLIENT"),
        span("c", "b", service="users"),
        span("d", "c", service="users", kind="CLIENT"),
        span("e", "d", service="orders"),
    ]
    services = {"gateway", "users", "orders"}

    assert is_complete(spans, services)
    assert not any(is_complete([one for one in spans if one is not left], services) for left in spans)
    assert not is_complete([], services)


def test_the_book_finds_a_trace_by_either_id() -> None:
    """By the trace's id, or by the gateway's id of a request; an unknown one gives nothing."""
    book = TraceBook()
    one = SeenSpan("t1", "a", "", "gateway", "GET", "SERVER", 0, 1, attributes={REQUEST_ID: "r1"})
    book.add([one])

    assert book.trace("t1", "") == book.trace("", "r1") == [one]
    assert book.trace("t2", "r1") == book.trace("", "r2") == book.trace("", "") == []


def test_the_book_forgets_the_oldest_traces() -> None:
    """A demo that is left running over night does not grow; counted spans stay counted."""
    book = TraceBook()
    for number in range(1500):
        book.add([SeenSpan(f"t{number}", "a", "", "s", "n", "SERVER", 0, 1, attributes={REQUEST_ID: f"r{number}"})])

    assert book.trace("t0", "") == book.trace("", "r0") == []
    assert book.trace("t1499", "") == book.trace("", "r1499") != []
    assert book.spans_by_service["s"] == 1500
