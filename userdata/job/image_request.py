"""What each image of a job is drawn from, made from the job by one pure function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from userdata.job.choices import Engine, Switch
from userdata.job.job import Job
from userdata.job.prompt_file import PromptLine
from userdata.job.prompt_loras import split_loras
from userdata.job.seeds import RANDOM, Seed, next_seed, seed_of_line


@dataclass(frozen=True)
class ImageRequest:
    """Image `index` of a job, counted from 0 over the run; sizes are in pixels, names are the job's own.

    `seed` is the image's own. `line` is its line of the prompt file, counted from 1, None without one. The model, the
    precision and the initial image are the same for all images of a job. `loras` are the weights of the LoRAs that are
    merged for the image, by the names that `listed_loras` gives them, and `prompt` is the text without these names;
    None, in records of an earlier version, stands for the whole list of the job. H and W are those of the first pass
    where `upscale` is not 1.
    """

    index: int
    seed: Seed
    prompt: str
    negative_prompt: str
    H: int
    W: int
    ddim_steps: int
    scale: float
    sampler: str
    strength: float
    ddim_eta: float = 0.0
    line: int | None = None
    loras: dict[str, float] | None = None
    upscale: int = 1

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the finished image."""
        return self.W * self.upscale, self.H * self.upscale

    @property
    def parameters(self) -> dict[str, object]:
        """The values of the job's parameters, by their names, that each image has of its own."""
        fields = Job.model_fields.items()
        return {str(field.alias): getattr(self, name) for name, field in fields if hasattr(self, name)}

    @property
    def guided(self) -> bool:
        """Whether each step computes the image without its prompt, too; 1 and less switch that off."""
        return self.scale > 1

    @property
    def batch_key(self) -> tuple[object, ...]:
        """What the images of a batch must share: everything but their noise and their texts."""
        loras = None if self.loras is None else tuple(sorted(self.loras.items()))
        how = (self.ddim_steps, self.scale, self.sampler, self.ddim_eta, self.strength, loras)
        return (self.H, self.W, self.upscale, *how)


def wants_drawn_seed(job: Job, lines: Sequence[PromptLine] = ()) -> bool:
    """Whether the job or one of its lines leaves its seed to chance."""
    return RANDOM in (job.seed, *(line.job.seed for line in lines))


def image_requests(job: Job, lines: Sequence[PromptLine] = (), *, drawn_seed: int | None = None) -> list[ImageRequest]:
    """All images of `job`, in the order of their indices.

    Without a prompt file, there are n_iter times n_samples. `lines` are those of the prompt file: as in the original,
    it is read n_iter times, and every line makes one image each time, or as many as its own --batch_size says, in its
    own --n_iter of these passes. Image k has seed `seed + k`, as `next_seed` counts; the images of a line with a
    seed of its own count on from that. With fixed_code, the counting begins anew after n_samples images. `drawn_seed`
    takes the place of a seed that is left to chance; a line that leaves its own to chance gets another one.
    """
    first = _resolved(job.seed, drawn_seed)
    if not lines:
        return [_request(job, index, _seed(job, first, index)) for index in range(job.n_iter * job.n_samples)]
    requests: list[ImageRequest] = []
    for iteration in range(max(line.job.n_iter for line in lines)):
        for line in lines:
            if iteration >= line.job.n_iter:
                continue
            for sample in range(line.job.n_samples):
                index = len(requests)
                of_line = iteration * line.job.n_samples + sample
                seed = _seed(job, first, index)
                if "seed" in line.given:
                    seed = _seed(line.job, _resolved(line.job.seed, drawn_seed, line.number), of_line)
                requests.append(_request(line.job, index, seed, line.number))
    return requests


def _resolved(seed: int, drawn: int | None, line: int | None = None) -> int:
    if seed != RANDOM:
        return seed
    if drawn is None:
        raise ValueError("no seed was drawn")
    return drawn if line is None else seed_of_line(drawn, line)


def _seed(job: Job, first: int, count: int) -> int:
    if job.engine == Engine.compvis:
        return first  # the original scripts have one for the whole run
    return next_seed(first, count % job.n_samples if job.fixed_code == Switch.on else count)


def _request(job: Job, index: int, seed: int, line: int | None = None) -> ImageRequest:
    prompt, loras = split_loras(job.prompt, job.negative_prompt, job.lora)
    return ImageRequest(
        index=index,
        seed=seed,
        prompt=prompt,
        negative_prompt=job.negative_prompt,
        H=job.H,
        W=job.W,
        ddim_steps=job.ddim_steps,
        scale=job.scale,
        sampler=str(job.sampler),
        ddim_eta=job.ddim_eta,
        strength=job.strength,
        line=line,
        loras=loras,
        upscale=job.upscale,
    )
