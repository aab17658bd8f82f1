"""The image's entrypoint by itself: its work before there is a Kong."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from checkout import CHECKOUT

ENTRYPOINT = CHECKOUT / "kong" / "image" / "entrypoint.sh"


def start(environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(ENTRYPOINT), "kong", "version"],
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=10,
    )


@pytest.mark.parametrize("variable", ["OTLP_HEADER_FILE", "OTEL_EXPORTER_OTLP_HEADERS_FILE"])
def test_a_secret_that_cannot_be_read_ends_it(variable: str, tmp_path: Path) -> None:
    """Without its secret Kong is not started: the one line names the variable, the file and the user."""
    missing = tmp_path / "missing"
    done = start({variable: str(missing)})

    assert done.returncode == 2
    assert done.stderr.startswith(f"otlp-tracing: {variable}: user ")
    assert done.stderr.endswith(f" cannot read {missing}\n")
    assert done.stderr.count("\n") == 1
