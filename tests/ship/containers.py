"""Images built with buildah, and containers of them, on a machine without a container engine or a registry.

A container here has the parts of a real one that these tests look at: its files as the root, mount and pid namespaces
of its own, its user, its environment, its volumes. The network is the machine's. Needs root.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from e2e.processes import descendants
from e2e.waiting import wait_for

_BUILD_SECONDS = 900.0  # half a minute of work, most of it downloads
_STORE_BYTES = 8 << 30  # of layers, kept from run to run; past it they are thrown away
_STOP_SECONDS = 20.0
_CA_IN_BUILD = "/etc/build-ca.crt"


@dataclass(frozen=True)
class Image:
    """A built image.

    Args:
        root: its files.
        config: its user, environment, entrypoint and so on, in Docker's names.
    """

    root: Path
    config: Mapping[str, Any]

    @property
    def environment(self) -> dict[str, str]:
        """ENV."""
        return dict(line.split("=", 1) for line in self.config["Env"])

    def size_bytes(self) -> int:
        """Return the size of its files."""
        return sum(path.lstat().st_size for path in self.root.rglob("*") if not path.is_dir() or path.is_symlink())

    def ids(self, user: str) -> tuple[int, int]:
        """Return the uid and gid of a user of the image, by name or number."""
        for line in (self.root / "etc" / "passwd").read_text().splitlines():
            name, _, uid, gid, *_ = line.split(":")
            if user in {name, uid}:
                return int(uid), int(gid)
        return int(user), int(user)


class Buildah:
    """The builder, with its images in a folder.

    Args:
        store: kept from run to run.
        scratch: an empty folder.
    """

    def __init__(self, store: Path, scratch: Path) -> None:
        if store.exists() and _size(store) > _STORE_BYTES:
            _unmount_below(store)
            shutil.rmtree(store)
        store.mkdir(parents=True, exist_ok=True)
        self._scratch = scratch
        driver = "overlay" if _overlay_works(scratch) else "vfs"
        self._command = [
            *("buildah", "--storage-driver", driver),
            *("--root", str(store / driver), "--runroot", str(scratch / "run")),
        ]
        self._containers: list[str] = []

    def build(self, context: Path, containerfile: Path, tag: str, *options: str) -> Image:
        """Build an image, or reuse the unchanged parts of the last run."""
        # The machine's own way to package indexes: certificates it trusts, and an index of its own if it has one.
        pip_conf = self._scratch / "pip.conf"
        index = os.environ.get("PIP_INDEX_URL")
        pip_conf.write_text(f"[global]\ncert = {_CA_IN_BUILD}\n" + (f"index-url = {index}\n" if index else ""))
        certificates = os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
        self._run(
            *("bud", "--isolation", "chroot", "--format", "docker", "--layers", "--tag", tag),
            *("--volume", f"{pip_conf}:/etc/pip.conf:ro", "--volume", f"{certificates}:{_CA_IN_BUILD}:ro"),
            *options,
            *("--file", str(containerfile), str(context)),
        )
        container = self._run("from", tag).strip()
        self._containers.append(container)
        inspected = json.loads(self._run("inspect", "--type", "image", tag))
        return Image(Path(self._run("mount", container).strip()), inspected["Docker"]["config"])

    def close(self) -> None:
        """Unmount the images' files."""
        if self._containers:
            self._run("rm", *self._containers)

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._command, *arguments], capture_output=True, text=True, check=False, timeout=_BUILD_SECONDS
        )
        assert done.returncode == 0, f"buildah {arguments[0]}: {done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout


@dataclass
class Container:
    """A container of an image. Use it with `with`.

    Args:
        image: the image.
        log: file for its output.
        command: instead of the image's entrypoint and command.
        environment: added to the image's.
        volumes: folders and files of this machine, by their place in the container.
        tmpfs: folders in memory, any user's.
        user: instead of the image's, as `uid` or `uid:gid`.
        read_only: whether the image's own files are.
    """

    image: Image
    log: Path
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    volumes: Mapping[str, Path] = field(default_factory=dict)
    tmpfs: Sequence[str] = ("/tmp", "/run")  # noqa: S108  # places in the container
    user: str = ""
    read_only: bool = False
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it may not be up yet."""
        command = self.command or [*self.image.config["Entrypoint"], *self.image.config["Cmd"]]
        script = "\n".join([*self._mounts(), f"exec {shlex.join(self._chroot(command))}"])
        with self.log.open("ab") as log:
            # A runtime gives a pipe of the user's own; nginx opens /dev/stderr once more, as that user.
            os.fchmod(log.fileno(), 0o666)
            self._process = subprocess.Popen(
                [
                    *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"),
                    *("/bin/sh", "-euc", script),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"]},
            )

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command beside it, as `docker exec` does."""
        enter = ["nsenter", "--target", str(self.main), "--mount", "--pid"]
        return subprocess.run(
            [*enter, *self._chroot(command)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def wait(self, seconds: float) -> int:
        """Wait for its end; for one that ends by itself."""
        assert self._process is not None
        return self._process.wait(seconds)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its first process."""
        os.kill(self.main, number)

    def running(self) -> bool:
        """Tell whether it has not ended."""
        return self._process is not None and self._process.poll() is None

    def output(self) -> str:
        """Return its output."""
        return self.log.read_text(errors="replace")

    def __enter__(self) -> Container:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None:
            print(self.output()[-8000:])
        if self.running():
            with contextlib.suppress(Exception):
                self.signal(signal.SIGQUIT if self.image.config.get("StopSignal") == "SIGQUIT" else signal.SIGTERM)
                self.wait(_STOP_SECONDS)
        if self._process is not None:
            # Its first process takes the others along; one that has changed its user does not die with its parent.
            if self.running():
                self.signal(signal.SIGKILL)
            self._process.kill()
            self._process.wait()

    @property
    def main(self) -> int:
        """The pid of its first process, here."""
        assert self._process is not None
        launcher = self._process.pid
        children = wait_for(lambda: descendants(launcher) or not self.running(), 10, "the container's first process")
        assert not isinstance(children, bool), self.output()
        return children[0].pid

    def _chroot(self, command: Sequence[str]) -> list[str]:
        user, _, group = (self.user or self.image.config.get("User") or "0").partition(":")
        uid, gid = self.image.ids(user)
        gid = int(group or gid)
        environment = {**self.image.environment, **self.environment}
        return [
            *("chroot", f"--userspec={uid}:{gid}", "--groups=", str(self.image.root)),
            *("env", "-i", *(f"{name}={value}" for name, value in environment.items()), *command),
        ]

    def _mounts(self) -> Iterator[str]:
        root = self.image.root
        yield f"mount --bind {root} {root}"
        if self.read_only:
            for place in (*self.tmpfs, *self.volumes):
                _make_place(root, place, Path("/") if place in self.tmpfs else self.volumes[place])
            yield f"mount -o remount,bind,ro {root}"
        yield f"mount -t proc proc {root}/proc"
        yield f"mount --rbind /dev {root}/dev"
        for place in self.tmpfs:
            _make_place(root, place, Path("/"))
            yield f"mount -t tmpfs -o mode=1777 tmpfs {root}{place}"
        for place, source in self.volumes.items():
            _make_place(root, place, source)
            yield f"mount --bind {shlex.quote(str(source))} {root}{place}"


def _make_place(root: Path, place: str, source: Path) -> None:
    target = Path(f"{root}{place}")
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()


def _overlay_works(scratch: Path) -> bool:
    folders = {name: scratch / f"overlay-{name}" for name in ("lower", "upper", "work", "merged")}
    for folder in folders.values():
        folder.mkdir(exist_ok=True)
    options = "lowerdir={lower},upperdir={upper},workdir={work}".format(**folders)
    mount = ["unshare", "--mount", "mount", "-t", "overlay", "-o", options, "overlay", str(folders["merged"])]
    return subprocess.run(mount, capture_output=True, check=False).returncode == 0


def _unmount_below(folder: Path) -> None:
    """Unmount the containers that an interrupted run has left."""
    for line in reversed(Path("/proc/mounts").read_text().splitlines()):
        if (at := Path(line.split()[1])).is_relative_to(folder):
            subprocess.run(["/bin/umount", "--lazy", at], check=True)


def _size(folder: Path) -> int:
    measure = ["du", "-sb", str(folder)]
    return int(subprocess.run(measure, capture_output=True, text=True, check=True).stdout.split()[0])
