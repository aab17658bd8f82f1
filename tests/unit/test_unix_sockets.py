"""Promises of unix_sockets.py."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from otlp_tracing.unix_sockets import listen_owner_only, peer_pid, refuse_foreign_peer


def test_the_socket_is_the_owners(tmp_path: Path) -> None:
    """No other user can connect, whatever the umask, which is restored afterwards."""
    previous = os.umask(0)
    try:
        listen_owner_only(tmp_path / "a.sock", 1).close()
        after = os.umask(0)
    finally:
        os.umask(previous)

    assert stat.S_IMODE((tmp_path / "a.sock").lstat().st_mode) == 0o600
    assert after == 0


def test_the_peer_is_known() -> None:
    """The other end of a pair of this process's own is this process."""
    one, other = socket.socketpair()
    with one, other:
        refuse_foreign_peer(one)

        assert peer_pid(one) == os.getpid()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take another user's place")
def test_another_user_is_refused() -> None:
    """Neither its own user nor root: such a peer gets nothing."""
    one, other = socket.socketpair()
    with one, other:
        os.seteuid(65534)
        try:
            mine = socket.socketpair()
            refuse_foreign_peer(one)  # root's
        finally:
            os.seteuid(0)
        with mine[0], mine[1], pytest.raises(PermissionError, match="65534"):
            refuse_foreign_peer(mine[0])
