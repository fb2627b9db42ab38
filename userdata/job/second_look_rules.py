"""What a mask and an upscaling want of the rest of a job."""

from __future__ import annotations

from userdata.contract.image_size import LONGEST_EDGE
from userdata.job.job_fields import JobFields


def why_not_masked_or_upscaled(job: JobFields) -> str | None:
    """Why `job` cannot have its mask or its upscaling, as a sentence with the way out; None when it can."""
    if job.init_mask and not job.init_img:
        return "InitMask is given without InitImage: give the image whose white part is to be redrawn"
    if job.upscale > 1 and job.init_img:
        return (
            f"Upscale is {job.upscale}, but InitImage is a first pass already: leave Upscale out, and give the larger "
            f"size, for example Height {2 * job.H} and Width {2 * job.W}"
        )
    if max(job.H, job.W) * job.upscale > LONGEST_EDGE:
        return (
            f"Upscale {job.upscale} makes images of {job.W * job.upscale} x {job.H * job.upscale} pixels, but edges "
            f"are at most {LONGEST_EDGE}: Height and Width are those of the first pass, for example 512 and 768"
        )
    return None
