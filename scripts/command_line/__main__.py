"""`python -m scripts.command_line`, which `scripts/sd` runs, and the installed `sd`."""

from __future__ import annotations

import gc
import os
import sys

from scripts.interruption.signals import end_at_once


def main() -> None:
    """Runs the command line. Its imports take a second, in which there is nothing to clean up."""
    end_at_once("sd: Interrupted; nothing was changed.")
    # Most of a command's start makes objects that stay. By Python's own threshold (700) they are looked through again
    # and again, a tenth of the start's time.
    gc.set_threshold(200_000)
    # pydantic else reads the metadata of every installed package, in search of plugins; none is in the lock.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from scripts.command_line.main import main as command_line

    try:
        command_line()
    except SystemExit as leaving:
        if isinstance(leaving.code, int) and leaving.code > 128:
            # Interrupted: threads of a library that draws are not waited for.
            sys.stdout.flush()
            os._exit(leaving.code)
        raise


if __name__ == "__main__":
    main()
