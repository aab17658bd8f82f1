"""Another author's plugin. It takes a second and a half to authenticate a request, and rejects it."""

import time
from typing import Any

Schema = ()
version = "1.0.0"
priority = 1000


class Plugin:
    """Rejects every request, slowly."""

    def __init__(self, config: Any) -> None:
        """Take any configuration."""

    def access(self, kong: Any) -> None:
        """Answer 401."""
        time.sleep(1.5)
        kong.response.exit(401, "who are you?")
