"""The reaction of a test to a missing program: it skips. In CI it fails if a package would bring the program.

A skip there would be green for ever. Root, Go or a real Kong may be missing in CI too: .ci/run says so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import NoReturn

import pytest

_SIMULATION_SECONDS = 60.0


def absent(reason: str, *packages: str) -> NoReturn:
    """Skip the test. With CI set, fail it if apt-get could have installed the missing program.

    Args:
        reason: the missing program.
        packages: of Debian, that bring it; none if it comes from elsewhere.
    """
    if os.environ.get("CI") and packages and _installable(packages):
        pytest.fail(f"{reason}; CI is set, and apt-get could install {' '.join(packages)}", pytrace=False)
    pytest.skip(reason)


def _installable(packages: tuple[str, ...]) -> bool:
    # Without apt-get update there are no lists, and no package is known: not of a machine without a network either.
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    simulation = ["apt-get", "install", "--simulate", "--quiet", *packages]
    return subprocess.run(simulation, capture_output=True, check=False, timeout=_SIMULATION_SECONDS).returncode == 0
