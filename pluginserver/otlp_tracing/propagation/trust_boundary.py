"""The trust boundary: which trace headers of a caller are trusted, and which headers the upstream gets.

Pure: settings and headers in, headers out. Knows no format by name except two stray headers, and decides nothing about
sampling.

There are three rules:

- The headers to the upstream are written anew from the parsed values.
- If a trusted caller used a format that is read, that header is written with our span id even if the format is not
  injected. Unchanged it would name the caller's span, and an upstream that reads several formats could prefer it. A
  header of a format that is neither read nor written is passed on unchanged.
- No trace header of an untrusted caller is passed on, in any spelling: for CGI and WSGI, `x_b3_traceid` is
  X-B3-TraceId.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from otlp_tracing.config.sensitive_names import MASK, SensitiveNames
from otlp_tracing.config.settings import Capture, Propagation, Redaction
from otlp_tracing.context import RequestContext, SpanContext
from otlp_tracing.propagation import baggage, w3c
from otlp_tracing.propagation.caller import Caller, Headers
from otlp_tracing.propagation.formats import FORMATS, extract, inject

# Of formats that are not read: where a trace began, and OpenCensus' trace context in gRPC's metadata. A trusted
# caller's are an application's headers; of any other caller they are claims about its trace.
_CLAIMS = ("x-datadog-origin", "grpc-trace-bin")
Extracted = tuple[Caller | None, SpanContext | None]
"""The caller to continue, and the caller's span to link to; one of them at the most."""

_CLAIMED = frozenset({*(header for format_ in FORMATS.values() for header in format_.HEADERS), *_CLAIMS, "baggage"})


@dataclass(frozen=True, slots=True)
class TrustBoundary:
    """The trust boundary of one plugin entry.

    Args:
        settings: the entry's.
        captured: baggage members to keep for the log.
        hidden: those of them with a sensitive name.
        read: the formats that a trusted caller may send.
        strays: headers of formats that are read and not injected; unchanged they would name the caller's span.
        cleared: headers that are always removed, in the way of `set_headers`.
    """

    settings: Propagation
    captured: tuple[str, ...]
    hidden: frozenset[str]
    read: tuple[str, ...]
    strays: frozenset[str]
    cleared: dict[str, list[str]]

    @classmethod
    def of(cls, settings: Propagation, capture: Capture, redaction: Redaction | None = None) -> TrustBoundary:
        """Make the boundary of an entry; without redaction, no baggage is hidden."""
        read = settings.extract
        if "b3" in read:
            read = (*read, "b3-single")  # extraction of b3 reads both
        strays = _headers_of(read) - _headers_of(settings.inject)
        cleared: dict[str, list[str]] = {name.lower(): [] for name in settings.clear}
        return cls(settings, capture.baggage, _hidden(capture, redaction), read, strays, cleared)

    @property
    def trusts_callers(self) -> bool:
        """Traces of callers are continued."""
        return self.settings.incoming == "trust"

    def extract(self, received: Headers) -> Extracted:
        """Return the caller that the headers name, as far as it is trusted."""
        if self.settings.incoming == "ignore":
            return None, None
        caller = extract(received, self.settings.extract)
        if caller is None or self.trusts_callers:
            return caller, None
        return None, caller.span_context()

    def capture(self, received: Headers) -> tuple[tuple[str, str], ...]:
        """Return the baggage members to keep, even if the caller's baggage is not passed on."""
        if not self.captured or self.settings.incoming == "ignore":
            return ()
        members = baggage.captured(received, self.captured)
        if not self.hidden:
            return members
        return tuple((name, MASK if name in self.hidden else value) for name, value in members)

    def inject(self, span: SpanContext, received: Headers) -> dict[str, list[str]]:
        """Return the headers of the upstream request; an empty list means that the header must be removed.

        Only headers that were received are removed. Injected headers have priority over cleared ones, and those over
        all others.
        """
        headers: dict[str, list[str]]
        if self.trusts_callers:
            headers = self._baggage(received)
            if not self.strays.isdisjoint(received):
                headers.update(self._strays(span, received))
        else:
            headers = {name: [] for name in received if _is_claim(name)}
        headers.update(self.cleared)
        headers.update(inject(span, self.settings.inject))
        return {name: lines for name, lines in headers.items() if lines or name in received}

    def answer(self, context: RequestContext) -> tuple[str, str] | None:
        """Return the response header that tells the client its trace; None where none is configured.

        Source: W3C Trace Context level 3 (draft), "Trace Context Server Timing Metric Format".
        """
        name = self.settings.response_header
        if name is None:
            return None
        if name.lower() == "server-timing":
            return name, f"trace;desc={w3c.traceparent(context.trace_id, context.span_id, context.flags)}"
        return name, context.trace_id.hex()

    def _strays(self, span: SpanContext, received: Headers) -> dict[str, list[str]]:
        return inject(span, [name for name in self.read if not received.keys().isdisjoint(FORMATS[name].HEADERS)])

    def _baggage(self, received: Headers) -> dict[str, list[str]]:
        if self.settings.baggage == "strip":
            return {name: [] for name in received if name == "baggage" or name.startswith(baggage.PREFIXES)}
        headers: dict[str, list[str]] = {}
        if "baggage" in received:
            headers["baggage"] = baggage.render(baggage.parse(received["baggage"]))
        # Two searches of one text: to look at each name costs every request three times as much.
        names = "\n".join(received)
        if "uberctx-" in names or "ot-baggage-" in names:
            headers.update(baggage.prefixed(received))
        return headers


def _is_claim(name: str) -> bool:
    spelled = name.replace("_", "-")
    return spelled in _CLAIMED or spelled.startswith(baggage.PREFIXES)


def _hidden(capture: Capture, redaction: Redaction | None) -> frozenset[str]:
    # Every other log plugin of Kong writes the captured values. So a pseudonym is made in the sidecar, from the value.
    if redaction is None or (redaction.mode_of("sensitive_key") == "hash" and redaction.hash_key):
        return frozenset()
    sensitive = SensitiveNames.from_settings(redaction)
    return frozenset(name for name in capture.baggage if name in sensitive)


def _headers_of(formats: Iterable[str]) -> frozenset[str]:
    return frozenset(header for name in formats for header in FORMATS[name].HEADERS)
