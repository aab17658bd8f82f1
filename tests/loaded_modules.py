"""The modules that a statement loads into a new process."""

from __future__ import annotations

import subprocess
import sys


def modules_loaded_by(statement: str) -> list[str]:
    """Run a statement in a new process, and return the names of all modules that are loaded after it."""
    code = f"{statement}; import sys; print(*sys.modules)"
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
