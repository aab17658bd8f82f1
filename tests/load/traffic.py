"""The requests of the load: headers, and the log record that Kong writes for one.

A third of the requests carry a traceparent. The record is one that a real Kong wrote, with the field that `access` has
set. The part that every request has in common is built once.
"""

from __future__ import annotations

import json
import random
from typing import Any

from checkout import TRANSCRIPTS

_RECORD_FILE = TRANSCRIPTS / "01-get-200.serialize.json"
_SETS = 96


def _headers(number: int, source: random.Random) -> dict[str, list[str]]:
    headers = {
        "host": ["shop.example.com"],
        "user-agent": ["Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"],
        "accept": ["application/json, text/plain, */*"],
        "accept-encoding": ["gzip, deflate, br"],
        "accept-language": ["en-GB,en;q=0.7,de;q=0.3"],
        "cookie": ["session=8c2f4d7f9a; theme=dark", "consent=1"],
        "x-forwarded-for": [f"203.0.113.{number}"],
        "x-request-id": [f"{source.getrandbits(128):032x}"],
    }
    if number % 3 == 0:
        flags = "01" if number % 2 else "00"
        headers["traceparent"] = [f"00-{source.getrandbits(128):032x}-{source.getrandbits(64):016x}-{flags}"]
    return headers


HEADER_SETS = [_headers(number, random.Random(number)) for number in range(_SETS)]

_RECORD = json.loads(_RECORD_FILE.read_bytes())
_RECORD.pop("otlp_tracing", None)
_AGENTS = ("curl/7.88.1", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "okhttp/4.12.0")
_REST = json.dumps(_RECORD, separators=(",", ":"))[1:]


def log_record(field: object) -> str:
    """Write Kong's log record of a request that `access` put a field into; None where it did not."""
    if field is None:
        return "{" + _REST
    return '{"otlp_tracing":' + json.dumps(field, separators=(",", ":")) + "," + _REST


def varied_log_record(field: object, source: random.Random) -> str:
    """Write a record whose path, ids, sizes, times and client differ from request to request, as on a gateway.

    Records that are all alike flatter caches: the same code then takes half of the time.
    """
    target = f"/{source.randrange(5000)}?page={source.randrange(50)}&sort=name"
    kong, proxy = source.randrange(1, 4), source.randrange(2, 120)
    path = _RECORD["request"]["uri"].partition("?")[0] + target
    request = _RECORD["request"] | {
        "id": f"{source.getrandbits(128):032x}",
        "size": source.randrange(90, 1500),
        "uri": path,
        "url": f"http://127.0.0.1:8000{path}",
        "headers": _RECORD["request"]["headers"] | {"user-agent": source.choice(_AGENTS)},
    }
    varied = _RECORD | {
        "otlp_tracing": field,
        "request": request,
        "response": _RECORD["response"] | {"size": source.randrange(200, 20_000)},
        "latencies": {"kong": kong, "proxy": proxy, "receive": 1, "request": kong + proxy + 1},
        "client_ip": f"203.0.113.{source.randrange(250)}",
        "upstream_uri": target,
    }
    return json.dumps(varied, separators=(",", ":"))


def config(endpoint: str) -> str:
    """Write a plugin configuration as Kong hands it over."""
    document: dict[str, Any] = {
        "endpoint": endpoint,
        "sampling": {"rate": 1, "parent": "follow"},
        "__key__": "plugins:otlp-tracing:::::0dc6f45b-8f8d-40d2-a504-473544ee190b",
        "__plugin_id": "1883090a-4a7f-595f-bc13-946f574e677a",
        "__seq__": 1,
    }
    return json.dumps(document)
