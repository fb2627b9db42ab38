"""The original scripts' command line for a job. Nothing here meets a shell."""

from __future__ import annotations

from pathlib import Path

from userdata.job.choices import Switch
from userdata.job.job import Job

CONFIG = "configs/stable-diffusion/v1-inference.yaml"
SAMPLERS = {"ddim": [], "plms": ["--plms"], "dpm_solver": ["--dpm_solver"]}


def command(
    job: Job, *, seed: int, python: Path, repository: Path, checkpoint: Path, outdir: Path, initial_image: Path | None
) -> list[str]:
    """The words of the command, in the original's spelling.

    `seed` is that of all images, and `initial_image` a file of the job's size, or None.
    """
    words = [
        *(str(python), str(repository / f"scripts/{'img2img' if initial_image else 'txt2img'}.py")),
        f"--prompt={job.prompt}",
        *("--outdir", str(outdir), "--config", str(repository / CONFIG), "--ckpt", str(checkpoint)),
        *("--ddim_steps", str(job.ddim_steps), "--scale", str(job.scale), "--seed", str(seed)),
        *("--n_iter", str(job.n_iter), "--n_samples", str(job.n_samples), "--skip_grid"),
        *("--ddim_eta", str(job.ddim_eta), "--precision", str(job.precision)),
        *(["--fixed_code"] if job.fixed_code == Switch.on else []),
    ]
    if initial_image:
        return [*words, f"--init-img={initial_image}", "--strength", str(job.strength)]
    return [*words, "--H", str(job.H), "--W", str(job.W), *SAMPLERS[str(job.sampler)]]
