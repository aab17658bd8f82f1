"""Takes a batch of log records apart: the body of a request of Kong's http-log, a JSON array or a single object.

Its strings may hold bytes that are not UTF-8. A broken record costs that record alone: the search continues at the
next object that looks like a record. Pure: bytes in, bytes out.

Source: kong/plugins/http-log/handler.lua of Kong 3.4.2 and 3.9.3 (make_json_array_payload_function).
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from otlp_tracing.errors import WireError

# Bytes read in search of the next record, as a multiple of the body's. Without a bound, nested beginnings would cost
# the square of its length.
_MOST_READ = 4
_DEEP_BYTES = 16 << 10  # counted for a value that is nested too deeply: json does not say where
_SPACE = " \t\r\n"

_array = msgspec.json.Decoder(list[msgspec.Raw])
_value = json.JSONDecoder(strict=False)


def split(body: bytes) -> tuple[list[bytes], int]:
    """Return the records of a batch, and the number of broken ones.

    Raises:
        WireError: the body is neither an array nor an object.
    """
    begin = body.lstrip()[:1]
    if begin == b"{":
        return [body], 0
    if begin != b"[":
        raise WireError("the body is neither a JSON array nor a JSON object")
    try:
        return [bytes(raw) for raw in _array.decode(body)], 0
    except (msgspec.DecodeError, RecursionError):
        return _search(body)


def _search(body: bytes) -> tuple[list[bytes], int]:
    text = body.decode("latin-1")  # one character a byte, so that places in the text are places in the body
    records: list[bytes] = []
    broken, is_lost = 0, False
    at, left = text.index("[") + 1, _MOST_READ * len(text)
    while (at := _behind_space(text, at)) < len(text) and left > 0:
        value, end, read = _read(text, at)
        left -= read
        # After something broken, a part of it may be taken for the next record.
        if end is not None and (not is_lost or (isinstance(value, dict) and "request" in value)):
            records.append(body[at:end])
            is_lost = False
            at = _behind_space(text, end)
            if text[at : at + 1] == ",":
                at += 1
                continue
            if text[at:].strip(_SPACE) == "]":
                return records, broken
        if not is_lost:
            broken, is_lost = broken + 1, True
        found = text.find(',{"', at)
        at = len(text) if found < 0 else found + 1
    return records, broken + (not is_lost)


def _read(text: str, at: int) -> tuple[Any, int | None, int]:
    """Return the value at a place, the place behind it (None if it is broken), and the number of characters read."""
    try:
        value, end = _value.raw_decode(text, at)
    except json.JSONDecodeError as error:
        return None, None, max(error.pos - at, 1)
    except RecursionError:
        return None, None, _DEEP_BYTES
    return value, end, end - at


def _behind_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at
