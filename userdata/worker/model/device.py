"""The device of a model, and the type of its numbers. Does without diffusers, whose import takes seconds."""

from __future__ import annotations

import torch

from userdata.contract.catalogue import FULL
from userdata.job.run_error import RunError

# Pipelines of models trained in bfloat16: in float16, whose range is smaller, their activations overflow.
IN_BFLOAT16 = frozenset({"FluxPipeline"})


def choose_device(device: str | None) -> torch.device:
    """The device named, or the GPU. Raises `RunError` when a GPU is wanted and none can be used.

    A person must ask for the CPU, because falling back to it would keep a GPU instance busy, and billed, for hours.
    """
    if device == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        # The driver alone has answered; CUDA itself may still refuse, for example a driver that is too old for it.
        try:
            torch.cuda.init()  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            raise RunError(
                f"PyTorch cannot use this machine's GPU: {str(error).splitlines()[0]}. Use a current Deep Learning AMI "
                "and an InstanceType such as g5.xlarge, then start the instance again."
            ) from error
        return torch.device("cuda")
    raise RunError(
        "No GPU can be used by PyTorch on this machine. Choose an InstanceType with an NVIDIA GPU, for example "
        "g5.xlarge, or write SD_DEVICE=cpu into /etc/sd-on-ec2/machine.env to draw on the CPU."
    )


def device_name(device: torch.device) -> str:
    """The GPU's name by its driver, or `cpu`."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def choose_dtype(device: torch.device, precision: str, *, pipeline: str = "") -> torch.dtype:
    """Half precision on a GPU, unless `precision`, the job's, is `full`. `pipeline` is diffusers' class, if known."""
    if device.type == "cpu" or precision == FULL:
        return torch.float32
    return torch.bfloat16 if pipeline in IN_BFLOAT16 else torch.float16
