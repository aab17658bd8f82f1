"""Unix sockets that only their owner can open, and the check of the user at the other end.

Linux only: SO_PEERCRED.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import struct
from pathlib import Path

_UCRED = struct.Struct("3i")  # pid, uid, gid: socket(7), SO_PEERCRED
_OWNER_ONLY = 0o177  # the file's mode becomes 0600
_OTHERS_WRITE = 0o022


def listen_owner_only(path: Path, backlog: int) -> socket.socket:
    """Listen at a path that only its owner, and root, can connect to; a socket that is there is replaced.

    The process has one thread at that time: the umask is the whole process's.

    Raises:
        FileExistsError: something is there that is no socket.
        OSError: it cannot listen there.
    """
    refuse_other_file(path)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    previous = os.umask(_OWNER_ONLY)
    try:
        listener.bind(str(path))
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(previous)
    return listener


def refuse_other_file(path: Path) -> None:
    """Check that there is a socket at a path, or nothing.

    Raises:
        FileExistsError: there is something else.
        OSError: this process may not look.
    """
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(errno.EEXIST, "is there already and is not a socket; move it away", str(path))


def identity(path: Path) -> tuple[int, int] | None:
    """Return the identity of the socket at a path; None without a socket."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def listener_pid(path: Path) -> int | None:
    """Return the pid of the process that listens at a path, 0 if it is in another pid namespace; None without one.

    A process that takes no connection at the moment counts, and so does one of another user.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(str(path))
        except (BlockingIOError, PermissionError):
            return 0
        except OSError:
            return None
        return peer_pid(probe)


def peer_pid(peer: socket.socket) -> int:
    """Return the pid at the other end of a connection; 0 where it lives in another pid namespace."""
    return _credentials(peer)[0]


def refuse_foreign_peer(peer: socket.socket) -> None:
    """Check that the other end belongs to this process's user or to root.

    Raises:
        ForeignUserError: to another user.
        OSError: the connection is gone.
    """
    uid = _credentials(peer)[1]
    if uid not in {os.geteuid(), 0}:
        raise ForeignUserError(uid)


def refuse_foreign_server(peer: socket.socket, path: Path) -> None:
    """Check the other end of a connection that a person's command has made to a path.

    Root may open every socket. So it also speaks to another user, if no third one can have put the socket there.

    Args:
        peer: the connection.
        path: of the socket.

    Raises:
        ForeignUserError: it belongs to another user.
        OSError: the connection is gone.
    """
    uid = _credentials(peer)[1]
    if uid in {os.geteuid(), 0}:
        return
    folder = path.parent.stat()
    if os.geteuid() != 0 or folder.st_uid != uid or folder.st_mode & _OTHERS_WRITE:
        raise ForeignUserError(uid)


class ForeignUserError(PermissionError):
    """The process at a socket belongs to another user.

    Args:
        uid: that user.
    """

    def __init__(self, uid: int) -> None:
        super().__init__(f"the other end belongs to user {uid}, this process to {os.geteuid()}")
        self.uid = uid


def _credentials(peer: socket.socket) -> tuple[int, int]:
    pid, uid, _ = _UCRED.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return int(pid), int(uid)
