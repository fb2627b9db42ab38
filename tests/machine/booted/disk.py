"""The disk of one booted machine: a layer over the shared root file system, kept while the machine is stopped."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


class Disk:
    """A file system at `root`, writable, of which only the differences to `base` are stored below `folder`.

    Where the kernel cannot layer (a container whose own files are layered already) it is a whole copy.
    """

    def __init__(self, folder: Path, base: Path) -> None:
        """Makes and mounts the file system. Raises `CalledProcessError` when the host refuses."""
        self.folder = folder
        self.root = folder / "root"
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        for name in ("upper", "work", "root"):
            (folder / name).mkdir(mode=0o755)
        layers = f"lowerdir={base},upperdir={folder / 'upper'},workdir={folder / 'work'}"
        try:
            _run("mount", "-t", "overlay", "-o", layers, "sd-on-ec2-disk", str(self.root))
        except subprocess.CalledProcessError:
            _run("cp", "--archive", "--reflink=auto", f"{base}/.", str(self.root))

    def write(self, path: str, text: str, *, mode: int = 0o644) -> None:
        """Writes a file of the machine; `path` is as the machine sees it."""
        file = self.inside(path)
        file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
        file.chmod(mode)

    def limit(self, path: str, *, megabytes: int) -> None:
        """Limits the space of one folder of the machine. The folders that the system needs to boot are not affected."""
        folder = self.inside(path)
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "sd-on-ec2-room", str(folder))

    def inside(self, path: str | Path) -> Path:
        """Where a path of the machine lies on the host."""
        return self.root / str(path).lstrip("/")

    def delete(self) -> None:
        """Unmounts and deletes it; safe to call twice."""
        delete_disk(self.folder)


def delete_disk(folder: Path) -> None:
    """Unmounts and deletes a disk, also one that another process left."""
    # With whatever is mounted inside. Two runs that begin at once may both find what a third one left.
    if (folder / "root").is_mount():
        subprocess.run(["umount", "--lazy", str(folder / "root")], capture_output=True, check=False)
    shutil.rmtree(folder, ignore_errors=True)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
