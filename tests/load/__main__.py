"""`python -m tests.load SOCKET`: one Kong worker's load on a plugin server, and how it went."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # as pytest's pythonpath has it

from load.command import main

if __name__ == "__main__":
    sys.exit(main())
