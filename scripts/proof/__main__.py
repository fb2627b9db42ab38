"""Runs the proof: `python -m scripts.proof`."""

import sys

from scripts.interruption.signals import end_at_once

end_at_once("test: Interrupted; nothing was made.")
from scripts.proof.main import main  # noqa: E402  # its imports take a second

sys.exit(main())
