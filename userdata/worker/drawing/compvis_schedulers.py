"""The original scripts' three samplers as diffusers schedulers: the same timesteps, and the same numbers.

diffusers has the same formulas, but spaces the steps otherwise. The original's grid (`make_ddim_timesteps`) counts
upwards from 0 in strides of 1000 // steps for as long as it stays below 1000, then adds 1: 75 steps are 77, the first
of them at 989; diffusers' "leading" spacing stops after 75, at 963, and so takes pure noise for something less. The
original's DPM-Solver walks evenly from 999 to 0 and asks the model for moments between the training steps; diffusers
rounds them. tests/unit/worker/parity compares all three with the `ldm` package.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, PNDMScheduler
from numpy.typing import NDArray

Grid = NDArray[numpy.int64]

# With a first step below this share of the training steps, as 1 and 2 steps have, the model would take pure noise for
# half a picture.
NOISY_END = 0.75
# A setting of diffusers: the last training step is pure noise (arXiv:2305.08891).
ZERO_SNR = "rescale_betas_zero_snr"


def original_grid(steps: int, training_steps: int) -> Grid | None:
    """The timesteps at which the original's DDIM and PLMS stop, from noise to picture.

    There may be more of them than `steps`. None where the original crashes, because a timestep lies beyond the last
    training step, and where the first timestep lies below `NOISY_END`.
    """
    grid = numpy.arange(0, training_steps, training_steps // steps)[::-1] + 1
    return grid if NOISY_END * training_steps <= grid[0] < training_steps else None


def even_grid(steps: int, training_steps: int) -> Grid:
    """`steps` timesteps that begin at the last training step and are as even as whole numbers can be.

    diffusers' "trailing" spacing (arXiv:2305.08891, table 2).
    """
    return numpy.round(numpy.arange(steps, 0, -1) * (training_steps / steps)).astype(numpy.int64) - 1


class OriginalDDIM(DDIMScheduler):  # type: ignore[misc]  # diffusers has no types
    """DDIM (arXiv:2010.02502) on the original's timesteps, or on even timesteps where the original has none.

    `strength` is that of image to image, None for text to image: the original then walks the last
    `int(steps * strength)` timesteps of its grid, from an image with the noise of the timestep before them.
    """

    strength: float | None = None

    def set_timesteps(self, num_inference_steps: int, device: Any = None) -> None:
        """Sets the timesteps, of which there may be more than `num_inference_steps`."""
        training_steps = self.config.num_train_timesteps
        # The original's grid begins below the last training step.
        original = None if self.config[ZERO_SNR] else original_grid(num_inference_steps, training_steps)
        grid = even_grid(num_inference_steps, training_steps) if original is None else original
        if self.strength is not None:
            # The pipeline leaves out the first `steps - int(steps * strength)`; the original's timesteps stay.
            grid = grid[-num_inference_steps:]
        self.num_inference_steps: int | Fraction = num_inference_steps
        self.timesteps = torch.from_numpy(grid.copy()).to(device)
        self._grid = [*grid.tolist(), -1]
        self._position: int | None = None
        self._noisier_by = 0 if original is None else training_steps // num_inference_steps

    def step(  # the pipelines look for `eta` and `generator` in this signature
        self, model_output: Any, timestep: Any, sample: Any, eta: float = 0.0, *, generator: Any = None, **more: Any
    ) -> Any:
        """One step, to the next timestep of the grid. diffusers' own step goes to `timestep` less one fixed width."""
        # Counted, because reading the number in `timestep` from a GPU at every step would wait for the GPU.
        self._position = self._grid.index(int(timestep)) if self._position is None else self._position + 1
        here, there = self._grid[self._position : self._position + 2]
        # diffusers computes the width as num_train_timesteps // num_inference_steps: so it can be any whole number.
        self.num_inference_steps = Fraction(self.config.num_train_timesteps, here - there)
        return super().step(model_output, here, sample, eta, generator=generator, **more)

    def add_noise(self, original_samples: Any, noise: Any, timesteps: Any) -> Any:
        """An image with the noise of the timestep before `timesteps`, as the original's `stochastic_encode` adds it.

        Once a step is done, with the noise of `timesteps` itself, as the original mixes in what a mask keeps.
        """
        by = self._noisier_by if self._position is None else 0
        return super().add_noise(original_samples, noise, _noisier(timesteps, by, len(self)))


class OriginalPLMS(PNDMScheduler):  # type: ignore[misc]  # diffusers has no types
    """PLMS (arXiv:2202.09778) on the original's timesteps; `strength` as for `OriginalDDIM`.

    The original has no image to image with PLMS. Here, image to image begins as the original begins text to image.
    Raises `ValueError` for a number of steps for which the original has no timesteps: its formula needs equal widths.
    """

    strength: float | None = None

    def set_timesteps(self, num_inference_steps: int, device: Any = None) -> None:
        """Sets the timesteps. The second timestep comes twice, because the first step is two evaluations."""
        super().set_timesteps(num_inference_steps, device)
        grid = original_grid(num_inference_steps, self.config.num_train_timesteps)
        if grid is None:
            raise ValueError(f"the original's PLMS cannot do {num_inference_steps} steps")
        left_out = 0
        if self.strength is not None:
            remaining = min(int(num_inference_steps * self.strength), num_inference_steps)
            left_out = num_inference_steps - remaining
            grid = grid[-remaining:]
        # The pipeline leaves out the first `left_out` timesteps, so their values do not matter.
        walk = [grid[0]] * left_out + [*grid[:2], *grid[1:]]
        self._noisier_by = self.config.num_train_timesteps // num_inference_steps
        self.plms_timesteps = numpy.array(walk, numpy.int64)
        self.timesteps = torch.from_numpy(self.plms_timesteps).to(device)

    def add_noise(self, original_samples: Any, noise: Any, timesteps: Any) -> Any:
        """Does what `OriginalDDIM.add_noise` does."""
        by = 0 if self.counter else self._noisier_by
        return super().add_noise(original_samples, noise, _noisier(timesteps, by, len(self)))


class OriginalDPMSolver(DPMSolverMultistepScheduler):  # type: ignore[misc]  # diffusers has no types
    """The multistep DPM-Solver++ of order 2 (arXiv:2211.01095) on the original's timesteps.

    The timesteps are even from the last training step to the first, fractions included. The logarithm of alpha is
    interpolated between training steps. The last step ends at the first training step's noise.
    """

    def set_timesteps(self, num_inference_steps: int, device: Any = None) -> None:
        """Sets the timesteps, which are no whole numbers in general."""
        super().set_timesteps(num_inference_steps, device)
        log_alphas = 0.5 * numpy.log(self.alphas_cumprod.double().numpy())
        moments = numpy.linspace(len(log_alphas) - 1, 0, num_inference_steps + 1)
        log_alpha = numpy.interp(moments, numpy.arange(len(log_alphas)), log_alphas)
        self.sigmas = torch.from_numpy(numpy.sqrt(numpy.expm1(-2 * log_alpha)).astype(numpy.float32))
        self.timesteps = torch.from_numpy(moments[:-1].astype(numpy.float32)).to(device)


def _noisier(timesteps: Any, by: int, training_steps: int) -> Any:
    return (timesteps + by).clamp(max=training_steps - 1)
