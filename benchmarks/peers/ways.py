"""The ways of drawing that are compared, each timed in this process: ours, eager and compiled diffusers."""

from __future__ import annotations

import functools
import shutil
import time
import unittest.mock
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.card import copy_rate, float8_rate, matrix_rate
from benchmarks.peers.diffusers_way import as_in_diffusers, call, compile_networks
from benchmarks.peers.kernel_kinds import where_a_step_goes
from benchmarks.peers.random_files import write_random_files
from benchmarks.peers.random_model import narrow_bundle, random_pipeline
from benchmarks.peers.timing import kept_prepared, repeated, spread, timed
from benchmarks.peers.works import Work
from benchmarks.quantization import quantize
from benchmarks.runs import GIB, draw
from userdata.contract.bundle import BUNDLE
from userdata.job.job import Job
from userdata.worker.drawing.prepared import Prepared
from userdata.worker.model import pipeline as product_pipeline

LONG_RUN = 1000
Figures = dict[str, Any]


class Measurement:
    """The model of `work` on `device`, and what is timed with it. Each figure takes about `seconds`.

    `tiny` is the same in miniature, and `steps` replaces the work's own number.
    """

    def __init__(
        self, work: Work, *, device: torch.device, scratch: Path, seconds: float, tiny: bool, steps: int | None
    ) -> None:
        self.work, self.device = work, device
        self._scratch, self._seconds, self._tiny, self._steps = scratch, seconds, tiny, steps
        self._bundle = narrow_bundle(scratch / "narrow") if tiny else BUNDLE
        self._number = 0
        self._compiled = self._warm = False

    @functools.cached_property
    def pipeline(self) -> DiffusionPipeline:
        """With random weights, made in memory."""
        return random_pipeline(self.work.entry, device=self.device, scratch=self._scratch, bundle=self._bundle)

    def described(self) -> Figures:
        """What is drawn, and what the figures leave out."""
        job = self.job(1)
        return {
            "size": f"{job.W} x {job.H}",
            "steps": job.ddim_steps,
            "sampler": str(job.sampler),
            "scale": job.scale,
            "weights": "random: normal, variance 1/inputs; norms 1, biases 0",
            "texts": "a stand-in tokenizer's, encoded by networks of the real shapes; by diffusers in each call",
        }

    def ceilings(self) -> Figures:
        """What the card itself can do, on random numbers."""
        float8 = float8_rate(self.device)
        figures = {
            "product_tflops": matrix_rate(self.device) / 1e12,
            "float8_product_tflops": float8 and float8 / 1e12,
            "copy_tb_per_s": copy_rate(self.device) / 1e12,
        }
        self._tidy()
        return figures

    def long(self) -> Figures:
        """The batches of a long run after its first, which compiles and records."""
        self._tidy()
        run = draw(self.pipeline, self.job(LONG_RUN), seconds=self._seconds)
        self._warm = True
        return {"long run": {**run.summary(), "later_batches": len(run.seconds) - 1}}

    def jobs(self) -> Figures:
        """Jobs of several images, by a worker that stays."""
        return self._jobs(self.work.job)

    def one(self) -> Figures:
        """Jobs of one image, by a worker that stays."""
        return self._jobs(1)

    def floor(self) -> Figures:
        """The arithmetic of one step and of decoding one image, in TFLOP, counted while diffusers draws one."""
        as_in_diffusers(self.pipeline)
        one, two = self._count(1, "latent"), self._count(2, "latent")
        step, decoding = two - one, self._count(1, "pt") - one
        steps = self.job(1).ddim_steps
        return {"step_tflop": step, "decoding_tflop": decoding, "steps": steps, "image_tflop": steps * step + decoding}

    def eager(self) -> Figures:
        """Plain diffusers: the whole call for a batch, the texts' encoding included."""
        as_in_diffusers(self.pipeline)
        figures: Figures = {}
        for batch in sorted(set(self.work.batches)):
            call(self.pipeline, self.job(batch, steps=2))
            figures[f"batch of {batch}"] = self._peer(batch)
        return figures

    def compiled(self) -> Figures:
        """Compiled diffusers, and the seconds of the first call, which compiles."""
        as_in_diffusers(self.pipeline)
        if not self._compiled:
            compile_networks(self.pipeline)
            self._compiled = True
        figures: Figures = {}
        for batch in sorted(set(self.work.batches), reverse=True):
            torch.compiler.reset()
            began = time.monotonic()
            call(self.pipeline, self.job(batch, steps=2))
            compiling = time.monotonic() - began
            call(self.pipeline, self.job(batch, steps=2))
            figures[f"batch of {batch}"] = {**self._peer(batch), "first_call_s": compiling}
        return figures

    def float8(self) -> Figures:
        """Ours with the blocks' weights in float8, as `Quantize=fp8` keeps them: jobs of several images, and of one."""
        self.__dict__.pop("pipeline", None)
        self._tidy()
        network = self.pipeline.transformer
        quantize(network, "fp8")
        network.kept = "fp8"
        self._tidy()
        self._warm = False
        return {**self._jobs(self.work.job), **self._jobs(1)}

    def files(self) -> Figures:
        """The model from files of its real layout, by the product's own loader, and one image.

        The files were just written, so that they are in the machine's memory.
        """
        self.__dict__.pop("pipeline", None)
        entry, folder = self.work.entry, self._scratch / "model"
        try:
            began = time.monotonic()
            size = write_random_files(entry, folder, device=self.device, bundle=self._bundle)
            figures: Figures = {"files_gb": size / 1e9, "writing_s": time.monotonic() - began}
            self._tidy()
            began = time.monotonic()
            pipeline = self._loaded(folder)
            figures["loading_s"] = time.monotonic() - began
            figures["loading_peak_gib"] = self._memory().get("peak_gib")
            with kept_prepared() as prepared:
                runs = [draw(pipeline, self.job(1), prepared=prepared) for _ in range(2)]
            figures["first_image_s"], figures["next_image_s"] = (run.ended - run.began for run in runs)
            return {**figures, "peak_gib": runs[0].peak_gib, "execution": runs[0].execution}
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _loaded(self, folder: Path) -> DiffusionPipeline:
        entry = self.work.entry
        # A checkpoint in one file is loaded by the layouts of the bundle: here those of this one.
        with unittest.mock.patch.object(product_pipeline, "LAYOUTS", self._bundle.models):
            pipeline = product_pipeline.load_pipeline(
                folder, layout=entry.layout, device=self.device, from_image=False, loras=entry.lora_places(folder)
            )
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return pipeline

    def steps(self) -> Figures:
        """Where a step of one image goes, as we draw it."""
        return where_a_step_goes(self.pipeline, self.job(1))

    def job(self, images: int, *, steps: int | None = None) -> Job:
        """A job with a text of its own."""
        self._number += 1
        return self.work.draw(images, number=self._number, tiny=self._tiny, steps=steps or self._steps)

    def _jobs(self, images: int) -> Figures:
        """By a worker that had other images prepared, and again by the one that has these. Each has its own text."""
        if (
            not self._warm
        ):  # the beginning of a long run leaves the kernels compiled and loaded, as such a worker has them
            draw(self.pipeline, self.job(LONG_RUN, steps=2), batches=1)
            self._warm = True
        name = f"job of {images}"
        with kept_prepared() as prepared:
            first = [self._draw(images, prepared)]
        self._tidy()
        with kept_prepared() as prepared:
            first.append(self._draw(images, prepared))
            figures = {name: {**spread(first, images), "execution": self._how}}
            again = repeated(functools.partial(self._draw, images, prepared), self._seconds)
            figures[f"{name}, again"] = {**spread(again, images), **self._memory(), "execution": self._how}
        return figures

    def _draw(self, images: int, prepared: Prepared) -> float:
        run = draw(self.pipeline, self.job(images), prepared=prepared)
        self._how = run.execution
        return run.ended - run.began

    def _peer(self, batch: int) -> Figures:
        self._tidy()
        return {
            **spread(repeated(lambda: timed(lambda: call(self.pipeline, self.job(batch))), self._seconds), batch),
            **self._memory(),
        }

    def _count(self, steps: int, output: str) -> float:
        with FlopCounterMode(display=False) as counter:
            call(self.pipeline, self.job(1, steps=steps), output=output)
        return float(counter.get_total_flops()) / 1e12

    def _tidy(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def _memory(self) -> Figures:
        if self.device.type != "cuda":
            return {}
        return {
            "peak_gib": torch.cuda.max_memory_allocated() / GIB,
            "reserved_gib": torch.cuda.max_memory_reserved() / GIB,
        }
