"""The whole thing on one machine, without Kong and Docker: `otlp-tracing demo`.

A stand-in gateway with the project's own kong.yml, two small services behind it, the real plugin server
with its sidecar, and a sink that takes the spans of all of them. Each trace is drawn as a waterfall.
"""

from otlp_tracing_devtools.demo.signals import EarlySignals

__all__ = ["run"]


def run(requests: int, leave: bool) -> int:
    """Run the demo and return its exit code.

    Args:
        requests: how many are sent at once, each with its trace shown.
        leave: end after them; else one more request a second until a signal comes.
    """
    early = EarlySignals()
    from otlp_tracing_devtools.demo.run import perform  # noqa: PLC0415 - takes half a second, in which Ctrl-C may come

    return perform(requests, early, leave=leave)
