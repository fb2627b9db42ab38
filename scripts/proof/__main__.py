"""Runs the proof: `python -m scripts.proof`."""

import sys

from scripts.proof.main import main

sys.exit(main())
