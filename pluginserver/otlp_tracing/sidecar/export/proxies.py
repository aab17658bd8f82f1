"""The proxy on the way to a destination, the same for both protocols.

HTTPS_PROXY is for endpoints with TLS and HTTP_PROXY for those without; ALL_PROXY is for both. NO_PROXY lists hosts that
are reached directly: names with their subdomains, addresses, networks (10.0.0.0/8), each with or without a port, or *.
A name in lower case has priority. Loopback is always reached directly. A proxy is `http://host:port`, also with user
and password.

Source: curl's manual, "ENVIRONMENT"; Go, golang.org/x/net/http/httpproxy, which the Collector uses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from otlp_tracing.config.loopback import is_loopback
from otlp_tracing.errors import Fault

_PROXIES = ("https_proxy", "http_proxy", "all_proxy")
_DEFAULT_PORT = 80


def proxy_of(scheme: str, host: str, port: int, environment: Mapping[str, str]) -> str | None:
    """Return the URL of the proxy to a host, with its user and password, which are secrets; None without a proxy.

    Args:
        scheme: http or https, of the endpoint.
        host: without brackets.
        port: of the endpoint.
        environment: of the sidecar.
    """
    url = _value(environment, f"{scheme}_proxy") or _value(environment, "all_proxy")
    if not url or _is_direct(host, port, _value(environment, "no_proxy")):
        return None
    return _usable(url)


def proxy_problems(environment: Mapping[str, str]) -> Iterator[Fault]:
    """Find variables whose proxy cannot be used; destinations are then reached directly."""
    for name in _PROXIES:
        for variable in (name, name.upper()):
            if (value := environment.get(variable, "").strip()) and _usable(value) is None:
                yield Fault(variable, "", "must be http://host:port; it is not used")


def _value(environment: Mapping[str, str], name: str) -> str:
    return (environment.get(name) or environment.get(name.upper()) or "").strip()


def _usable(url: str) -> str | None:
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme != "http" or not parts.hostname:
            return None
        return f"http://{parts.netloc}" + ("" if parts.port else f":{_DEFAULT_PORT}")
    except ValueError:
        return None


def _is_direct(host: str, port: int, exempt: str) -> bool:
    if is_loopback(host):
        return True
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        address = None
    for entry in re.split(r"[,\s]+", exempt.lower()):
        name, colon, its_port = entry.rpartition(":")
        if colon and its_port.isdecimal() and (":" not in name or name.endswith("]")):
            if int(its_port) != port:
                continue
            entry = name.strip("[]")  # noqa: PLW2901 - the rest of it
        if entry == "*" or entry == host.lower():
            return True
        if address is None:
            if (suffix := entry.lstrip("*.")) and f".{host.lower()}".endswith(f".{suffix}"):
                return True
            continue
        try:
            if address in ip_network(entry, strict=False):
                return True
        except ValueError:
            pass
    return False
