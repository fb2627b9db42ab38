"""What one image of a job is drawn from, resolved from the job by one pure function."""

from __future__ import annotations

from dataclasses import dataclass

from userdata.worker.job import Job


@dataclass(frozen=True)
class ImageRequest:
    """Image `index` of a job, counted from 0 over the run; sizes are in pixels, names are the job's own.

    `seed` is the image's own. The model and the initial image are the same for all images of a job.
    """

    index: int
    seed: int
    prompt: str
    negative_prompt: str
    H: int
    W: int
    ddim_steps: int
    scale: float
    sampler: str
    strength: float

    @property
    def batch_key(self) -> tuple[object, ...]:
        """What images must share to be drawn in one batch: everything but their noise and their texts."""
        return (self.H, self.W, self.ddim_steps, self.scale, self.sampler, self.strength)


def image_requests(job: Job) -> list[ImageRequest]:
    """All images of `job`, in the order of their indices."""
    return [
        ImageRequest(
            index=index,
            seed=job.seed + index,
            prompt=job.prompt,
            negative_prompt=job.negative_prompt,
            H=job.H,
            W=job.W,
            ddim_steps=job.ddim_steps,
            scale=job.scale,
            sampler=str(job.sampler),
            strength=job.strength,
        )
        for index in range(job.images_total)
    ]
