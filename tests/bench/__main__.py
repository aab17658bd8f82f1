"""`python -m tests.bench`: the cost of a traced request, beside the stock plugin server and Kong's own plugins."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # as pytest's pythonpath has it

from bench.command import main

if __name__ == "__main__":
    sys.exit(main())
