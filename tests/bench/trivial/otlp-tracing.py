"""The least that a tracing plugin does, for the stock server: its price is the floor of every Python plugin there."""

from typing import Any

Schema = ()
version = "1"
priority = 100_010


class Plugin:
    """One header read, one value set, one log record read."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config

    def access(self, kong: Any) -> None:
        """Read a header, and put its value into the log record."""
        kong.log.set_serialize_value("trivial", kong.request.get_header("traceparent"))

    def log(self, kong: Any) -> None:
        """Read the log record."""
        kong.log.serialize()
