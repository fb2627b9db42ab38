"""Starts the local cloud. `scripts/local/cloud` runs this file by its path, in the folder where the person is."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Rejected: PYTHONPATH, which scripts/sd uses. The person's command would inherit it.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.interruption.signals import end_at_once
from scripts.local.command_environment import leave_behind
from userdata.worker.process.garbage_collection import collector_at_rest

end_at_once("cloud: Interrupted; nothing was started.")
leave_behind(os.environ)
# moto's import makes so many objects that the collector would cost a second.
with collector_at_rest():
    from scripts.local.cloud import main

sys.exit(main())
