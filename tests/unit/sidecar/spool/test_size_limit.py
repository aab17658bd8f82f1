"""Promises of sidecar/spool/size_limit.py: a spool takes a fifth of its volume, and less where a limit is hidden."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from otlp_tracing.sidecar.spool.size_limit import spool_share

MIB = 1 << 20


@pytest.fixture
def volume_bytes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Give the size of every volume; a test sets it."""
    size = [100 * MIB]
    real = os.statvfs(".")

    def statvfs(_path: object) -> os.statvfs_result:
        return os.statvfs_result((4096, 4096, size[0] // 4096, *real[3:]))

    monkeypatch.setattr(os, "statvfs", statvfs)
    return size


@pytest.mark.parametrize(
    ("volume", "share"),
    [(100 * MIB, 20 * MIB), (10 << 30, 2 << 30), (1 << 40, 4 << 30), (MIB, MIB)],
)
def test_it_is_a_fifth_of_the_volume(volume_bytes: list[int], tmp_path: Path, volume: int, share: int) -> None:
    """Up to 4 GiB; and never below the least bound that an option allows."""
    volume_bytes[0] = volume

    assert spool_share(tmp_path / "not" / "there", tmp_path / "no mountinfo") == share


def test_an_empty_dir_of_kubernetes_counts_as_a_small_volume(volume_bytes: list[int], tmp_path: Path) -> None:
    """Its size limit is hidden, and a pod that passes it is evicted: the prefix of Kong's Helm chart has 256 MiB."""
    volume_bytes[0] = 100 << 30
    root = "/var/lib/kubelet/pods/0b/volumes/kubernetes.io~empty-dir/prefix"
    table = tmp_path / "mountinfo"
    table.write_text(
        f"22 1 0:21 / / rw - overlay overlay rw\n30 22 8:1 {root} {tmp_path}/prefix rw,relatime - ext4 /dev/vda1 rw\n"
        f"31 22 8:16 / {tmp_path}/claim rw,relatime - ext4 /dev/vdb rw\n"
    )
    for name in ("prefix", "claim", "prefix-2"):
        (tmp_path / name).mkdir()

    assert spool_share(tmp_path / "prefix" / "otlp-tracing" / "spool", table) == 256 * MIB // 5
    assert spool_share(tmp_path / "claim" / "spool", table) == 4 << 30
    assert spool_share(tmp_path / "prefix-2" / "spool", table) == 4 << 30
