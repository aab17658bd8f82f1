"""The strings of a span, taken out and put back: its name, its tracestate, its attributes' values, items of lists."""

from __future__ import annotations

import dataclasses

from otlp_tracing.sidecar.spans.model import AttributeValue, SpanRecord

__all__ = ["ALWAYS_THERE", "SPAN_NAME", "TRACE_STATE", "SpanStrings"]

SPAN_NAME = ""
"""Stands where an attribute's name would, for the name of the span."""

TRACE_STATE = "(tracestate)"
"""The same for the tracestate, the span's and those of its links."""

ALWAYS_THERE = frozenset({SPAN_NAME, TRACE_STATE})
"""What cannot be left out of a span."""

_ALONE = -1


class SpanStrings:
    """The strings of one span.

    Args:
        span: whose.
    """

    def __init__(self, span: SpanRecord) -> None:
        self._span = span
        self._changed: dict[int, str | None] = {}
        names, texts, items = [SPAN_NAME, TRACE_STATE], [span.name, span.trace_state], [_ALONE, _ALONE]
        for link in span.links:
            names.append(TRACE_STATE)
            texts.append(link.trace_state)
            items.append(_ALONE)
        for name, value in span.attributes.items():
            kind = type(value)
            if kind is str:
                names.append(name)
                texts.append(value)  # type: ignore[arg-type]  # kind says so
                items.append(_ALONE)
            elif kind is list:
                names += [name] * len(value)  # type: ignore[arg-type]
                texts += value  # type: ignore[arg-type]
                items += range(len(value))  # type: ignore[arg-type]
        self.names = names
        """For each string, its attribute."""
        self.texts = texts
        """Each string as it is now; one that was removed is empty."""
        self._items = items

    def put(self, index: int, text: str | None) -> None:
        """Put a string in the place of one; None removes it, which must not be done to what is ALWAYS_THERE."""
        if text != self.texts[index]:
            self._changed[index] = text
            self.texts[index] = text or ""

    def make_encodable(self) -> None:
        """Replace lone surrogates, which no UTF-8 can carry; Kong writes none, another log plugin could."""
        for index, text in enumerate(self.texts):
            self.put(index, text.encode("utf-8", "replace").decode())

    def span(self) -> SpanRecord:
        """Return the span with the strings as they are now."""
        if not self._changed:
            return self._span
        attributes = dict(self._span.attributes)
        lists: dict[str, list[str | None]] = {}
        for index, text in self._changed.items():
            attribute, item = self.names[index], self._items[index]
            if attribute in ALWAYS_THERE:
                continue
            if item != _ALONE:
                original = attributes[attribute]
                assert isinstance(original, list)
                lists.setdefault(attribute, list(original))[item] = text
            elif text is None:
                del attributes[attribute]
            else:
                attributes[attribute] = text
        for attribute, lines in lists.items():
            _put_list(attributes, attribute, [line for line in lines if line is not None])
        links = tuple(
            dataclasses.replace(link, trace_state=self.texts[number]) for number, link in enumerate(self._span.links, 2)
        )
        return dataclasses.replace(
            self._span, name=self.texts[0], trace_state=self.texts[1], links=links, attributes=attributes
        )


def _put_list(attributes: dict[str, AttributeValue], name: str, lines: list[str]) -> None:
    if lines:
        attributes[name] = lines
    else:
        del attributes[name]
