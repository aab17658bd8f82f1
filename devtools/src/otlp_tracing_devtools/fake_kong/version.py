"""The versions of Kong that the stand-in plays, and the version that brought each difference.

A difference is written as `context.version >= version.REQUEST_ID`. Sources are files of Kong at the tag `X.Y`.
"""

from __future__ import annotations

Version = tuple[int, int]

RELEASES: dict[Version, str] = {(3, 4): "3.4.2", (3, 9): "3.9.1"}
"""The release that is played for each version."""
NEWEST: Version = (3, 9)

UNMANAGED_SERVERS: Version = (3, 5)
"""Calls a plugin server without `start_cmd`, and one that is not up yet; before, see `readiness.py`. process.lua."""
REQUEST_ID: Version = (3, 5)
"""`request.id` in the log record, in error answers and as X-Kong-Request-Id. pdk/log.lua, tools/http.lua."""
SOURCE: Version = (3, 6)
"""`source` in the log record. pdk/log.lua."""
HEADER_LISTS: Version = (3, 6)
"""`set_header` takes a list. pdk/service/request.lua."""
SIXTEEN_DIGITS: Version = (3, 6)
"""JSON numbers have 16 significant digits, before 14. globalpatches.lua."""
CLAIM_RELEASED: Version = (3, 6)
"""A claim on an instance that is waited for too long is released. plugin_servers/init.lua, get_instance_id."""
PROTOBUF_ERRORS_END_REQUESTS: Version = (3, 7)
"""A ProtoBuf server that cannot be asked costs the request a 500. plugin_servers/pb_rpc.lua, handle_event."""
RECEIVE_LATENCY: Version = (3, 8)
"""`latencies.receive`, which `latencies.kong` includes before; `workspace` and `workspace_name`. pdk/log.lua."""
VIA_WITH_PROTOCOL: Version = (3, 8)
"""Via says `1.1 kong/X`, and is sent upstream too; before, it is `kong/X`. runloop/handler.lua."""
METRICS_WORKSPACE: Version = (3, 7)
"""The prometheus plugin's series carry the label `workspace`. plugins/prometheus/exporter.lua."""
CONFIG_WORKSPACE: Version = (3, 9)
"""A plugin's configuration carries `__ws_id`. runloop/plugins_iterator.lua."""


def parse_version(text: str) -> Version:
    """Read `3.4` or `3.9`.

    Raises:
        ValueError: the stand-in does not play this version.
    """
    for version, release in RELEASES.items():
        if text in {f"{version[0]}.{version[1]}", release}:
            return version
    raise ValueError(f"must be one of {', '.join(f'{major}.{minor}' for major, minor in RELEASES)}")


def server_name(version: Version) -> str:
    """Return Kong's name in `Server` and `Via`; a plugin sees it in the log record."""
    return f"kong/{RELEASES[version]}"
