"""The disk space that a spool may take: a share of the volume that its folder is on.

A spool must never be the reason that Kubernetes evicts the gateway's pod, or that Kong cannot write.

Source: proc_pid_mountinfo(5); Kubernetes, "Volumes", emptyDir: `sizeLimit` is no size that statvfs(3) shows.
"""

from __future__ import annotations

import os
from pathlib import Path

# A damaged file and its two kept copies may take as much as the spool itself, three times; Kong needs room too.
_SHARE = 5
_MAX_BYTES = 4 << 30
MIN_BYTES = 1 << 20
# The prefix in Kong's Helm chart, deployment.prefixDir.sizeLimit. Nothing in the container shows the limit.
_EMPTY_DIR_BYTES = 256 << 20
_EMPTY_DIR = "/kubernetes.io~empty-dir/"


def spool_share(folder: Path, mountinfo: Path = Path("/proc/self/mountinfo")) -> int:
    """Return the bytes that a spool may take in a folder, which need not exist yet: a fifth of its volume, up to 4 GiB.

    An emptyDir of Kubernetes counts as 256 MiB unless it is a smaller volume of its own.
    """
    # Path.exists raises an error for a folder in one that this process may not enter.
    while not os.path.exists(folder):
        folder = folder.parent
    volume = os.statvfs(folder)
    size = volume.f_blocks * volume.f_frsize
    if _EMPTY_DIR in _mounted_root(folder.resolve(), mountinfo):
        size = min(size, _EMPTY_DIR_BYTES)
    return max(min(size // _SHARE, _MAX_BYTES), MIN_BYTES)


def _mounted_root(folder: Path, mountinfo: Path) -> str:
    """Return the folder of the file system that is mounted where `folder` is; empty if it cannot be read."""
    try:
        lines = mountinfo.read_text().splitlines()
    except OSError:
        return ""
    mounts = {point: root for root, point in (line.split()[3:5] for line in lines)}
    return next((mounts[str(one)] for one in (folder, *folder.parents) if str(one) in mounts), "")
