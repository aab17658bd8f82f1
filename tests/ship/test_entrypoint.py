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
def test_a_secret_that_cannot_be_read_is_said(variable: str, tmp_path: Path) -> None:
    """Kong is started without tracing's secret: a line names the variable, the file and the user."""
    missing = tmp_path / "missing"
    done = start({variable: str(missing)})

    said, end = done.stderr.splitlines()
    assert said.startswith(f"otlp-tracing: {variable}: user ")
    assert said.endswith(f" cannot read {missing}")
    assert "KONG_IMAGE is no image of Kong" in end  # the last step of the entrypoint
