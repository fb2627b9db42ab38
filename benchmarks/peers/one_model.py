"""The child of a comparison: one model in one process, way after way, each with a time limit."""

from __future__ import annotations

import argparse
import faulthandler
import json
import logging
import sys
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from benchmarks.card import describe
from benchmarks.peers.ways import Measurement
from benchmarks.peers.works import NONE, WORKS
from scripts.interruption.signals import ends_in_a_sentence


def main() -> int:
    """Writes the figures after each way, so that what ends this process takes no figure with it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("figures", type=Path)
    parser.add_argument("--ways", nargs="+", required=True)
    parser.add_argument("--limit", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    diffusers.utils.logging.set_verbosity_error()
    transformers.utils.logging.set_verbosity_error()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    device = torch.device("cpu" if options.tiny else "cuda")
    measurement = Measurement(
        WORKS[options.model],
        device=device,
        scratch=options.scratch,
        seconds=options.seconds,
        tiny=options.tiny,
        steps=options.steps,
    )
    figures: dict[str, Any] = {"machine": describe(device), "work": measurement.described()}
    for way in options.ways:
        # A watchdog that ends the process also where a library hangs; the parent names the limit and goes on.
        faulthandler.dump_traceback_later(options.limit, exit=True)
        try:
            figures[way] = getattr(measurement, way)()
        except Exception as error:  # what one way cannot do is told in its place
            logging.exception("%s of %s", way, options.model)
            figures[way] = {NONE: f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"}
        finally:
            faulthandler.cancel_dump_traceback_later()
        options.figures.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    with ends_in_a_sentence():
        sys.exit(main())
