"""Ordered sampling rules: the first that matches a request sets its rate. Pure.

Paths and hosts are compared by RE2, which takes linear time whatever the pattern. A path is a glob in which `*`
matches anything. With a leading `~` it is a regular expression. A host may begin with `*.`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from otlp_tracing.config.settings import SamplingRule
from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.propagation.caller import Headers
from otlp_tracing.sampling import threshold

Matcher = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class RequestLine:
    """The parts of a request that are not in its headers.

    Args:
        method: such as GET.
        path: as the client sent it, without the query, and without scheme and authority if it sent these.
    """

    method: str
    path: str

    @classmethod
    def parse(cls, line: str) -> RequestLine:
        """Read nginx's `$request`, such as `GET /users?id=1 HTTP/1.1`; missing parts are empty.

        A target in absolute form (`GET http://host/users HTTP/1.1`; RFC 9112, 3.2.2) is read as its path.
        """
        method, _, rest = line.partition(" ")
        target = rest.rpartition(" ")[0].partition("?")[0]
        if not target.startswith("/"):
            scheme, separator, after = target.partition("://")
            if separator and "/" not in scheme:
                target = f"/{after.partition('/')[2]}"
        return cls(method, target)

    def itself(self) -> RequestLine:
        """Return the line, where a function must return it."""
        return self


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule, ready to be asked.

    Args:
        name: shown on the spans that it decided about.
        rate: as configured, 0 to 1.
        threshold_: of its rate.
    """

    name: str
    rate: float
    threshold_: int
    methods: frozenset[str]
    path: Matcher | None
    host: Matcher | None
    headers: tuple[tuple[str, Matcher], ...]

    @classmethod
    def of(cls, rule: SamplingRule, place: str) -> Rule:
        """Make a rule from the configuration.

        Raises:
            ConfigError: for a regular expression that RE2 does not take.
        """
        pairs = [line.partition(":") for line in rule.headers]
        return cls(
            name=rule.name,
            rate=rule.rate,
            threshold_=threshold.from_rate(rule.rate),
            methods=frozenset(rule.methods),
            path=any_of([_path_pattern(path) for path in rule.paths], f"{place}.paths"),
            host=any_of([glob(host.lower()) for host in rule.hosts], f"{place}.hosts"),
            headers=tuple(
                (name.lower(), matcher)
                for name, _, value in pairs
                if (matcher := any_of([glob(value.strip())], f"{place}.headers")) is not None
            ),
        )

    @property
    def asks_for_line(self) -> bool:
        """It cannot be answered from the headers alone."""
        return bool(self.methods) or self.path is not None

    def matches_headers(self, headers: Headers) -> bool:
        """Tell whether a request's headers match the rule."""
        if self.host is not None and not any(self.host(_host_name(host)) for host in headers.get("host", ())):
            return False
        return all(any(map(matcher, headers.get(name, ()))) for name, matcher in self.headers)

    def matches_line(self, line: RequestLine) -> bool:
        """Tell whether its method and path are."""
        if self.methods and line.method not in self.methods:
            return False
        return self.path is None or self.path(line.path)


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one plugin entry, in order."""

    rules: tuple[Rule, ...] = ()

    @classmethod
    def of(cls, rules: Sequence[SamplingRule], place: str = "sampling.rules") -> Rules:
        """Make the rules from the configuration; `place` is their field, for errors.

        Raises:
            ConfigError: with the first rule that cannot work.
        """
        return cls(tuple(Rule.of(rule, f"{place}[{number}]") for number, rule in enumerate(rules, 1)))

    def asks_for_line(self, headers: Headers) -> bool:
        """Tell whether `match` needs a request's first line.

        Args:
            headers: the request's.
        """
        if not any(rule.asks_for_line for rule in self.rules):
            return False
        return next((rule.asks_for_line for rule in self.rules if rule.matches_headers(headers)), False)

    def match(self, ask_line: Callable[[], RequestLine], headers: Headers) -> Rule | None:
        """Return the first rule that matches.

        Args:
            ask_line: called at most once, and only for a rule that needs it and has matching headers.
            headers: the request's.
        """
        line: RequestLine | None = None
        for rule in self.rules:
            if not rule.matches_headers(headers):
                continue
            if rule.asks_for_line:
                line = line or ask_line()
                if not rule.matches_line(line):
                    continue
            return rule
        return None


def any_of(patterns: Iterable[str], place: str) -> Matcher | None:
    """Return a function that tells whether a whole text matches one of the patterns; None without patterns.

    Args:
        patterns: regular expressions.
        place: the field that has them, for the error.

    Raises:
        ConfigError: for a pattern that RE2 does not take.
    """
    # Loaded only where a rule needs it: most configurations have none, and the worker starts faster.
    import re2  # noqa: PLC0415

    joined = "|".join(f"(?:{pattern})" for pattern in patterns)
    if not joined:
        return None
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(joined, options)
    except re2.error as error:
        # RE2's reason; after the colon is the joined pattern, not as it was written.
        reason = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        rule = f"must be regular expressions that RE2 accepts: {reason.partition(':')[0]}"
        raise ConfigError([Fault(place, "", rule)]) from error
    except UnicodeEncodeError as error:
        raise ConfigError([Fault(place, "", "must be text; a lone surrogate is no character")]) from error
    return lambda text: compiled.fullmatch(_encodable(text)) is not None


def _path_pattern(path: str) -> str:
    # A regular expression says itself where it ends; like Kong's it is bound to the path's beginning.
    return f"(?:{path[1:]}).*" if path.startswith("~") else glob(path)


def glob(text: str) -> str:
    """Return the regular expression of a text in which `*` matches anything."""
    return "(?s:.*)".join(re.escape(part) for part in text.split("*"))


def _host_name(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdecimal() else host).lower()


def _encodable(text: str) -> str:
    # Bytes that are not UTF-8 come as surrogates (kong_server/protocol/msgpack.py), which RE2 cannot take.
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
