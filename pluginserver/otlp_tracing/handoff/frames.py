"""The frames between the gateway's processes and the sidecar.

A frame is a length (4 bytes, big-endian) and a MessagePack array: a number for the kind, then its fields. The first
frame of a connection is the sender's Hello, with the version. Records are numbered from 1 by their sender; an Ack
acknowledges all of them up to a number. Pure: bytes in, frames out.

Version 2 added Rates, from the sidecar to a gateway that said 2 in its Hello. Version 3 added Warnings, from the
gateway. Version 4 added Policy, from the sidecar, and Debug, from the command `debug`. Version 5 added Refused, from
the gateway. A gateway of an older version is still served, without them. One of a newer version is served as well: an
upgrade replaces one process before the other. So a later version may add kinds, and fields at the end of a frame; a
reader skips both. Any other change needs another kind of greeting, which is refused.

Source for the limits: kong's default `large_client_header_buffers 4 8k` bounds a request's head to 32 KiB. A log
record shows it up to three times (headers, uri, url and querystring), each byte escaped to six at the worst.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgpack

from otlp_tracing.errors import FrameTooLarge, WireError
from otlp_tracing.logs.lines import LogLine
from otlp_tracing.metrics import Total

VERSION = 5
RATES_SINCE = 2
"""The version from which on a gateway understands Rates."""
POLICY_SINCE = 4
"""The version from which on a gateway understands Policy."""
_OLDEST = 1
_MAX_KINDS = 64  # of later versions; another number is garbage
MAX_FRAME_BYTES = 1 << 20
_LENGTH = struct.Struct(">I")
_packer = msgpack.Packer()  # one for all frames: a new one for each costs more than the packing
_MAX_ENTRIES = 1024  # elements of an array or map; a Totals frame has a few dozen


class _Kind:
    HELLO: Final = 0
    CONFIG: Final = 1
    RECORD: Final = 2
    TOTALS: Final = 3
    ACK: Final = 4
    RATES: Final = 5
    WARNINGS: Final = 6
    POLICY: Final = 7
    DEBUG: Final = 8
    REFUSED: Final = 9


@dataclass(frozen=True, slots=True)
class Hello:
    """The sender: the protocol version, and 8 random bytes that name the sending process."""

    version: int
    sender: bytes


@dataclass(frozen=True, slots=True)
class Config:
    """A plugin entry's configuration, sent once a connection before the first record that needs it.

    Args:
        key: 16 bytes, entry_identity.settings_key of it.
        config: JSON, UTF-8; entry_identity.entry_config of it.
    """

    key: bytes
    config: bytes


@dataclass(slots=True, init=False)
class Record:
    """One request: `kong.log.serialize()` as it came, unread.

    Args:
        number: the sender's count, from 1.
        key: the Config that applies.
        log: JSON, whatever bytes its strings hold.
    """

    number: int
    key: bytes
    log: bytes

    # Written out, since there is one a request: compiled, a dataclass's own would stay Python.
    def __init__(self, number: int, key: bytes, log: bytes) -> None:
        self.number = number
        self.key = key
        self.log = log


@dataclass(frozen=True, slots=True)
class Totals:
    """The sender's counters since it started."""

    totals: list[Total]


@dataclass(frozen=True, slots=True)
class Ack:
    """All records up to this number are the receiver's now."""

    number: int


@dataclass(frozen=True, slots=True)
class Rates:
    """The rates of one plugin entry for the receiver, until the next such frame.

    Args:
        key: of the entry's Config.
        load: factor on every configured rate, above 0 and up to 1.
        shares: traces per second, in the order of settings.Sampling.streams; empty without a budget.
    """

    key: bytes
    load: float
    shares: list[float]


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of the policy file for the head decision of all entries, until the next such frame.

    Args:
        rules: JSON, as of `sampling.rules`.
    """

    rules: bytes


@dataclass(frozen=True, slots=True)
class Debug:
    """A debug session, which lasts as long as its connection at the most.

    An Ack with the number of requests kept so far answers it, and each request that is kept. The sidecar closes the
    connection at its end; at once, if it cannot begin.

    Args:
        match: JSON, as of a policy's `match`.
        seconds: its longest duration.
        requests: the largest number of requests that it keeps.
        sender: the person that began it, for `status`; empty if the command does not say.
    """

    match: bytes
    seconds: int
    requests: int
    sender: str = ""


@dataclass(frozen=True, slots=True)
class Warnings:
    """Lines of the sender's log, or of its supervisor's."""

    lines: list[LogLine]


@dataclass(frozen=True, slots=True)
class Refused:
    """A plugin entry whose configuration the gateway refused: it has no Config and no records.

    Args:
        name: Kong's id of it.
        route: Kong's id of its route; empty without one.
        service: Kong's id of its service; likewise.
        faults: each a sentence that names the field.
    """

    name: str
    route: str
    service: str
    faults: list[str]


Frame = Hello | Config | Record | Totals | Ack | Rates | Warnings | Policy | Debug | Refused


def encode(frame: Frame) -> bytes:
    """Write a frame.

    Raises:
        FrameTooLarge: past MAX_FRAME_BYTES.
    """
    match frame:
        case Hello(version, sender):
            message: list[Any] = [_Kind.HELLO, version, sender]
        case Config(key, config):
            message = [_Kind.CONFIG, key, config]
        case Record(number, key, log):
            message = [_Kind.RECORD, number, key, log]
        case Totals(totals):
            message = [_Kind.TOTALS, totals]
        case Ack(number):
            message = [_Kind.ACK, number]
        case Rates(key, load, shares):
            message = [_Kind.RATES, key, load, shares]
        case Debug(match, seconds, requests, sender):
            message = [_Kind.DEBUG, match, seconds, requests, *([sender] if sender else ())]
        case Refused(name, route, service, faults):
            message = [_Kind.REFUSED, name, route, service, faults]
        case Policy(rules):
            message = [_Kind.POLICY, rules]
        case Warnings(lines):
            message = [_Kind.WARNINGS, [[one.at, one.process, one.level, one.logger, one.text] for one in lines]]
    body: bytes = _packer.pack(message)
    if len(body) > MAX_FRAME_BYTES:
        raise FrameTooLarge(f"a frame of {len(body)} bytes; the limit is {MAX_FRAME_BYTES}")
    return _LENGTH.pack(len(body)) + body


class Decoder:
    """Bytes in, frames out, for one connection. After a WireError it must not be used again."""

    def __init__(self) -> None:
        self._rest = b""  # the beginning of a frame
        self._greeted = False

    @property
    def waits(self) -> bool:
        """The peer owes something: the rest of a frame that it began, or its greeting."""
        return bool(self._rest) or not self._greeted

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take received bytes, in pieces of any size, and yield the frames that they complete.

        Raises:
            WireError: for bytes that break the protocol; never anything else.
        """
        if self._rest:
            data = self._rest + data
        begin = 0
        try:
            while len(data) - begin >= _LENGTH.size:
                (size,) = _LENGTH.unpack_from(data, begin)
                if size > MAX_FRAME_BYTES:
                    raise FrameTooLarge(f"a frame of {size} bytes is announced; the limit is {MAX_FRAME_BYTES}")
                end = begin + _LENGTH.size + size
                if len(data) < end:
                    break
                body = data[begin + _LENGTH.size : end]
                begin = end
                frame = _decode(body)
                if frame is not None:
                    yield self._check_greeting(frame)
                elif not self._greeted:
                    raise WireError("the first frame is of an unknown kind, not a Hello")
        finally:
            self._rest = data[begin:]

    def _check_greeting(self, frame: Frame) -> Frame:
        # The sidecar's frames, acknowledgements, rates and policies, need no greeting.
        if isinstance(frame, Hello):
            if frame.version < _OLDEST:
                raise WireError(f"the peer speaks version {frame.version} of the frames, this side from {_OLDEST} on")
            self._greeted = True
        elif not self._greeted and not isinstance(frame, Ack | Rates | Policy):
            raise WireError(f"the first frame is a {type(frame).__name__}, not a Hello")
        return frame


def _decode(body: bytes) -> Frame | None:
    """Read a frame; None for one of a kind that a later version added."""
    try:
        message = msgpack.unpackb(
            body,
            strict_map_key=True,
            max_array_len=_MAX_ENTRIES,
            max_map_len=_MAX_ENTRIES,
            max_ext_len=0,
            unicode_errors="strict",
        )
    except Exception as error:
        # msgpack raises half a dozen unrelated kinds of exception for bad input.
        raise WireError(f"not MessagePack: {type(error).__name__}") from error
    frame = _frame(message)
    if frame is None and not _is_of_later_version(message):
        raise WireError("a frame of no known form")
    return frame


def _is_of_later_version(message: object) -> bool:
    match message:
        case [int(kind), *_]:
            return _Kind.REFUSED < kind < _MAX_KINDS
    return False


def _frame(message: object) -> Frame | None:
    match message:
        case [_Kind.RECORD, int(number), bytes(key), bytes(log), *_] if number > 0 and len(key) == 16:
            return Record(number, key, log)
        case [_Kind.HELLO, int(version), bytes(sender), *_] if len(sender) == 8:
            return Hello(version, sender)
        case [_Kind.CONFIG, bytes(key), bytes(config), *_] if len(key) == 16:
            return Config(key, config)
        case [_Kind.TOTALS, list(entries), *_]:
            totals = [_total(entry) for entry in entries]
            return Totals([total for total in totals if total]) if all(totals) else None
        case [_Kind.WARNINGS, list(entries), *_]:
            lines = [_line(entry) for entry in entries]
            return Warnings([line for line in lines if line]) if all(lines) else None
    return _from_sidecar(message) or _debug(message) or _refused(message)


def _debug(message: object) -> Debug | None:
    match message:
        case [_Kind.DEBUG, bytes(match), int(seconds), int(requests)] if seconds > 0 and requests > 0:
            return Debug(match, seconds, requests)
        case [_Kind.DEBUG, bytes(match), int(seconds), int(requests), str(sender), *_] if seconds > 0 and requests > 0:
            return Debug(match, seconds, requests, sender)
    return None


def _refused(message: object) -> Refused | None:
    match message:
        case [_Kind.REFUSED, str(name), str(route), str(service), list(faults), *_] if all(
            isinstance(fault, str) for fault in faults
        ):
            return Refused(name, route, service, faults)
    return None


def _from_sidecar(message: object) -> Ack | Rates | Policy | None:
    match message:
        case [_Kind.ACK, int(number), *_] if number >= 0:
            return Ack(number)
        case [_Kind.POLICY, bytes(rules), *_]:
            return Policy(rules)
        case [_Kind.RATES, bytes(key), float(load), list(shares), *_] if len(key) == 16 and 0 < load <= 1:
            return Rates(key, load, shares) if all(map(_is_share, shares)) else None
    return None


def _is_share(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value) and value >= 0


def _total(entry: object) -> Total | None:
    match entry:
        case [str(name), list(labels), int(value)] if value >= 0 and all(isinstance(label, str) for label in labels):
            return name, tuple(labels), value
    return None


def _line(entry: object) -> LogLine | None:
    match entry:
        case [float(at), str(process), str(level), str(logger), str(text)] if math.isfinite(at):
            try:
                return LogLine(at, process, level, logger, text)
            except ValueError:
                return None
    return None
