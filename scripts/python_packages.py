"""What `scripts/setup` asks of pip. It runs in a new environment, so it has the standard library alone.

`install` takes arguments of `pip install`, and keeps the person's sources of packages but no other setting of theirs.
Where an argument names an index, packages come from there alone.
`missing` takes lock files, and names their packages that the environment has not.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

# Settings that say where packages come from and how that place is reached. Any other could install elsewhere (`user`,
# `target`), other things (`constraint`, `no-binary`, `no-deps`) or nothing (`dry-run`), and pip would end well.
KEPT = (
    "index-url", "extra-index-url", "no-index", "find-links", "trusted-host", "cert", "client-cert", "proxy",
    "cache-dir", "no-cache-dir", "timeout", "default-timeout", "retries", "keyring-provider", "use-feature",
    "use-deprecated",
)  # fmt: skip
SOURCES = ("index-url", "extra-index-url", "no-index", "find-links")
# In pip's order: what comes later goes before what comes earlier.
SECTIONS = ("global", "install", ":env:")
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)(\s*;)?", re.MULTILINE)


def kept_settings(listed: str, *, index_is_named: bool = False) -> dict[str, str]:
    """The variables that hold what is kept of the settings that `pip config list` lists.

    No source of the person's is kept where `index_is_named`, since pip would take a package from either.
    """
    found = dict(line.split("=", 1) for line in listed.splitlines() if "=" in line)
    return {
        f"PIP_{name.upper().replace('-', '_')}": str(ast.literal_eval(found[f"{section}.{name}"]))
        for section in SECTIONS
        for name in KEPT
        if f"{section}.{name}" in found and not (index_is_named and name in SOURCES)
    }


def install(arguments: list[str]) -> int:
    """Runs pip; gives its exit status."""
    pip = [sys.executable, "-m", "pip"]
    to_list = {name: value for name, value in os.environ.items() if name != "PIP_PYTHON"}
    listed = subprocess.run(
        [*pip, "config", "list"], env=to_list, stdout=subprocess.PIPE, encoding="utf-8", check=False
    )
    if listed.returncode:
        sys.stderr.write("setup: pip cannot read its settings; the lines above name the file. Mend it or move it.\n")
        return listed.returncode
    kept = kept_settings(listed.stdout, index_is_named="--index-url" in arguments)
    others = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    environment = {**others, **kept, "PIP_CONFIG_FILE": os.devnull, "PYTHONWARNINGS": "ignore"}
    # pip would compile with one processor; scripts/setup does with all of them.
    words = ["install", "--quiet", "--disable-pip-version-check", "--no-compile", *arguments]
    return subprocess.run([*pip, *words], env=environment, check=False).returncode


def missing(files: list[str]) -> list[str]:
    """The packages of the lock files that are not there, or at another version. One with a marker may be absent."""
    wanted: dict[str, set[str]] = {}
    optional = set()
    for file in files:
        for name, pinned, marker in PINNED.findall(Path(file).read_text("utf-8")):
            wanted.setdefault(name, set()).add(pinned)
            if marker:
                optional.add(name)
    return [name for name, versions in wanted.items() if not _is_there(name, versions, absent=name in optional)]


def _is_there(name: str, versions: set[str], *, absent: bool) -> bool:
    try:
        found = version(name)
    except PackageNotFoundError:
        return absent
    # torch's builds for the CPU call themselves 2.13.0+cpu.
    return found.split("+")[0] in versions


if __name__ == "__main__":
    if sys.argv[1] == "install":
        try:
            sys.exit(install(sys.argv[2:]))
        except KeyboardInterrupt:
            sys.exit(130)  # pip has told it
    if gone := missing(sys.argv[2:]):
        sys.exit(f"setup: not installed: {', '.join(gone)}")
