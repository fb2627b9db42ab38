"""The device of a model, and the type of its numbers. Does without diffusers, whose import takes seconds."""

from __future__ import annotations

import torch

from userdata.contract.catalogue import FULL, IN_BFLOAT16
from userdata.job.run_error import RunError

# Cards before this compute capability have no units for bfloat16, and PyTorch's emulation takes many times as long.
FIRST_WITH_BFLOAT16 = (8, 0)


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
    """Half precision on a GPU, unless `precision`, the job's, is `full`. `pipeline` is diffusers' class, if known.

    Raises `RunError` for a pipeline that needs bfloat16 on a card that has none.
    """
    if device.type == "cpu" or precision == FULL:
        return torch.float32
    if pipeline not in IN_BFLOAT16:
        return torch.float16
    if torch.cuda.get_device_capability(device) < FIRST_WITH_BFLOAT16:
        raise RunError(
            f"The model computes in bfloat16, which the GPU {device_name(device)} does not have: in float16 its images "
            "would be black. Deploy again with a newer card, for example InstanceType g6.xlarge."
        )
    return torch.bfloat16
