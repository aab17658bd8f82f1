"""The environment variables of this product. Another name with our prefix is probably a misspelt one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from otlp_tracing.commands.options import PREFIX
from otlp_tracing.config.validation import did_you_mean
from otlp_tracing.errors import Fault

# A list, because `serve` does not load the other commands. A test compares it with their options.
OF_OPTIONS = frozenset([
    "DEBUG_TOKEN_FILE", "DESCRIPTION", "FORMAT", "HAND_OVER", "HTTP", "INGEST_HTTP", "INGEST_TOKEN_FILE", "KONG_CONF",
    "KONG_PREFIX", "LISTEN", "LOG_FILE", "LOG_LEVEL", "MINUTES", "ON_FAULT", "PAGE", "PAGE_HOSTS", "PAGE_TOKEN_FILE",
    "PLUGINS", "POLICY_FILE", "PROTOCOL", "REQUESTS", "SIDECAR", "SOCKET_NAME", "SPOOL", "SPOOL_MAX_BYTES", "TIMEOUT",
    "TRACE_URL", "WAIT", "WORKERS",
])  # fmt: skip
# Secrets, those of kong/image/entrypoint.sh, one between our processes, and those of the tests.
OTHERS = frozenset(["PAGE_TOKEN", "INGEST_TOKEN", "REQUEST_DEBUG_TOKEN", "START_TIMEOUT", "HOSTED", "CACHE"])

# Kubernetes sets these for each Service of the namespace whose name begins with otlp-tracing.
_OF_KUBERNETES = re.compile(r"(.*_)?(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_\d+_.*)?)")


def unknown_variables(names: Iterable[str]) -> Iterator[Fault]:
    """Give a fault for each variable with our prefix that nothing reads; its value may be a secret and is left out."""
    for name in sorted(names):
        short = name.removeprefix(PREFIX)
        if short != name and short not in OF_OPTIONS | OTHERS and not _OF_KUBERNETES.fullmatch(short):
            yield Fault(name, "", f"nothing reads this variable{did_you_mean(short, OF_OPTIONS | OTHERS, PREFIX)}")
