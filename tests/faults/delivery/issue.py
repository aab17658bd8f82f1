"""Requests with known span ids, issued by a producer, and checks of the spans that arrive.

Each request of a run has a number, and both of its spans carry it in their ids. Everything else about a span follows
from the number, so a receiver can tell of any span whether it was issued, and whether it is whole.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otlp_tracing_devtools.fake_collector import attribute_values

SPANS_A_REQUEST = 2  # one try: a SERVER span and a CLIENT span
_SPAN_ID = struct.Struct(">II")  # the run, then twice the request's number, one more for the CLIENT span
_NUMBERED = "kong.request.id"
_STARTED_MS = 1_795_327_875_925
_TOOK_MS = 7
# Letters only: a payload must look like none of the things that redaction looks for.
_LETTERS = bytes.maketrans(b"0123456789abcdef", b"ghijklmnopqrstuv")
_PAD_LETTERS = 1000  # a value; redaction may cut a longer one


class Run:
    """A series of requests.

    Args:
        name: 1 to 2^31; no two runs that deliver to one receiver may share it.
        pads: captured headers of 1,000 letters, for spans of a size.
    """

    def __init__(self, name: int, pads: int = 0) -> None:
        self.name = name
        self._first: dict[int, Any] = {}  # by kind, the attributes that all spans have in common
        self.issued = 0  # numbers below this one have been handed over
        self._pads = {f"x-pad-{number}": "z" * _PAD_LETTERS for number in range(pads)}
        self._head, self._tail = self._template()

    @property
    def captured_headers(self) -> list[str]:
        """The headers that the plugin entry has to capture, so that a span can be checked."""
        return ["x-payload", *self._pads]

    def log(self, number: int) -> bytes:
        """Return the log record of a request, as Kong's `kong.log.serialize()` has it.

        Args:
            number: 0 to 2^31 - 1.
        """
        context = (
            f'{{"trace_id":"{self._trace_id(number).hex()}","span_id":"{self._id(number, 0).hex()}",'
            f'"upstream_span_id":"{self._id(number, 1).hex()}","flags":3,"sampled":true,"decided_by":"rate"}}'
        )
        request = (
            f'"uri":"/item/{number}","url":"http://gateway:8000/item/{number}","id":"{number:032x}",'
            f'"headers":{{"host":"gateway:8000","x-payload":"{self._payload(number)}"'
        )
        return f'{self._head}{request}{self._tail}"/item/{number}","otlp_tracing":{context}}}'.encode()

    def place(self, span: Span) -> int | None:
        """Return twice the number of a span's request, one more for the CLIENT span; None if it was not issued."""
        if len(span.span_id) != _SPAN_ID.size:
            return None
        run, place = _SPAN_ID.unpack(span.span_id)
        return place if run == self.name and place < self.issued * SPANS_A_REQUEST else None

    def fault(self, span: Span) -> str | None:
        """Describe each difference between a span and the span that was issued."""
        place = self.place(span)
        assert place is not None
        number, is_client = divmod(place, SPANS_A_REQUEST)
        attributes = attribute_values(span.attributes)
        expected = self._client(number) if is_client else self._server(number)
        kind = Span.SPAN_KIND_CLIENT if is_client else Span.SPAN_KIND_SERVER
        for name, wanted, found in (
            ("trace id", self._trace_id(number), span.trace_id),
            ("parent", self._id(number, 0) if is_client else b"", span.parent_span_id),
            ("kind", kind, span.kind),
            *((name, value, attributes.get(name)) for name, value in expected.items()),
        ):
            if wanted != found:
                return f"span {place}: {name} is {found!r}, not {wanted!r}"
        rest = {name: value for name, value in attributes.items() if name not in expected and name != _NUMBERED}
        alike = (span.name, span.start_time_unix_nano, span.end_time_unix_nano, span.flags, rest)
        first = self._first.setdefault(kind, alike)
        return None if alike == first else f"span {place}: {alike} is not {first}, as of the first"

    def _server(self, number: int) -> Mapping[str, Any]:
        return {
            "url.path": f"/item/{number}",
            "http.response.status_code": 200,
            "http.request.header.x-payload": [self._payload(number)],
            **{f"http.request.header.{name}": [value] for name, value in self._pads.items()},
        }

    def _client(self, number: int) -> Mapping[str, Any]:
        return {"url.full": f"http://upstream:9080/item/{number}", "http.response.status_code": 200}

    def _id(self, number: int, is_client: int) -> bytes:
        return _SPAN_ID.pack(self.name, number * SPANS_A_REQUEST + is_client)

    def _trace_id(self, number: int) -> bytes:
        return hashlib.blake2b(self._id(number, 0), digest_size=16).digest()

    def _payload(self, number: int) -> str:
        digest = hashlib.blake2b(self._id(number, 1), digest_size=16).hexdigest()
        return digest.encode().translate(_LETTERS).decode()

    def _template(self) -> tuple[str, str]:
        # The part that all requests have in common is built once, because a run may have a million requests.
        record: dict[str, Any] = {
            "response": {"status": 200, "size": 971},
            "latencies": {"request": _TOOK_MS, "kong": 6, "proxy": 0, "receive": 1},
            "tries": [
                {
                    "ip": "127.0.0.1",
                    "port": 9080,
                    "balancer_start": _STARTED_MS + 6,
                    "balancer_start_ns": (_STARTED_MS + 6) * 1e6,
                }
            ],
            "route": {"id": "7dbfe890-c0a5-501b-ac37-8f36623bf357", "name": "items", "paths": ["/item"]},
            "service": {"id": "adbd70b3-4224-5183-a52a-179d7b34ab5b", "name": "items", "host": "upstream"}
            | {"port": 9080, "protocol": "http"},
            "started_at": _STARTED_MS,
            "client_ip": "127.0.0.1",
            "upstream_status": "200",
            "source": "upstream",
        }
        pads = "".join(f',"{name}":"{value}"' for name, value in self._pads.items())
        rest = json.dumps(record)[1:-1]
        return '{"request":{"method":"GET","size":96,', f'{pads}}}}},{rest},"upstream_uri":'
