"""Starts the studio. `sd studio` runs this file by its path, in the folder where the person is."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.interruption.signals import end_at_once

if __name__ == "__main__":
    end_at_once("sd: Interrupted; nothing was changed.")
    from scripts.studio.serve import main

    status = main()
    sys.stdout.flush()
    # Threads that wait for AWS are not waited for: nothing is half done in them that the next look would not show.
    os._exit(status)
