"""The EC2 instance types with an NVIDIA GPU that the Deep Learning AMI supports: one table for every question of size.

Sizes are those of AWS's instance type pages, read in 2026-08, and for G7e and P6-B300 of DescribeInstanceTypes, as moto
5.2.5 holds its answers; nothing was asked of an account. GPU memory is what a program finds: PyTorch states it as
"total capacity" in its out-of-memory messages, which users report for every card here but the RTX PRO 4500 (G7) and the
B300, for which the usual share of 94 % is assumed. The makers' round numbers ("24 GB") are up to 11 % more than what
there is, since error correction and the driver take theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from userdata.job.quantization import WITH_BFLOAT16, Capability


@dataclass(frozen=True)
class Gpu:
    """A card: its name, its usable memory in GiB, and its compute capability, by which NVIDIA says what it computes."""

    name: str
    memory_gib: float
    capability: Capability

    @property
    def bfloat16(self) -> bool:
        """Whether it computes in bfloat16."""
        return self.capability >= WITH_BFLOAT16


T4 = Gpu("T4", 14.5, (7, 5))
A10G = Gpu("A10G", 21.9, (8, 6))
L4 = Gpu("L4", 21.9, (8, 9))
RTX_PRO_4500 = Gpu("RTX PRO 4500", 30.0, (12, 0))
RTX_PRO_6000 = Gpu("RTX PRO 6000", 94.9, (12, 0))
L40S = Gpu("L40S", 44.3, (8, 9))
A100_40 = Gpu("A100 40 GB", 39.3, (8, 0))
A100_80 = Gpu("A100 80 GB", 79.1, (8, 0))
H100 = Gpu("H100", 79.1, (9, 0))
H200 = Gpu("H200", 139.7, (9, 0))
B200 = Gpu("B200", 178.0, (10, 0))
B300 = Gpu("B300", 252.0, (10, 3))


@dataclass(frozen=True)
class InstanceType:
    """One type: its name, its vCPUs, its memory in GiB, its card and how many of them. A run uses one card."""

    name: str
    vcpus: int
    memory_gib: int
    gpu: Gpu
    gpus: int


def _family(family: str, gpu: Gpu, gib_per_vcpu: int, gpus_by_size: dict[str, int]) -> Iterator[InstanceType]:
    """The types of a family, in which an `xlarge` has 4 vCPUs, an `8xlarge` 32, and memory grows with them."""
    for size, gpus in gpus_by_size.items():
        vcpus = 4 * int(size.removesuffix("xlarge") or 1)
        yield InstanceType(f"{family}.{size}", vcpus, vcpus * gib_per_vcpu, gpu, gpus)


_ONE_CARD = {"xlarge": 1, "2xlarge": 1, "4xlarge": 1, "8xlarge": 1, "16xlarge": 1}
_ALL_SIZES = _ONE_CARD | {"12xlarge": 4, "24xlarge": 4, "48xlarge": 8}

INSTANCE_TYPES: dict[str, InstanceType] = {
    instance_type.name: instance_type
    for instance_type in (
        *_family("g4dn", T4, 4, _ONE_CARD),
        InstanceType("g4dn.12xlarge", 48, 192, T4, 4),
        InstanceType("g4dn.metal", 96, 384, T4, 8),
        # Before the A10G, whose memory it has: `smallest_type` names the first, and an hour of this one costs less.
        *_family("g6", L4, 4, _ALL_SIZES),
        *_family("g5", A10G, 4, _ALL_SIZES),
        *_family("gr6", L4, 8, {"4xlarge": 1, "8xlarge": 1}),
        *_family("g6e", L40S, 8, _ALL_SIZES),
        *_family(
            "g7",
            RTX_PRO_4500,
            4,
            {"2xlarge": 1, "4xlarge": 1, "8xlarge": 1, "12xlarge": 2, "24xlarge": 4, "48xlarge": 8},
        ),
        *_family("g7e", RTX_PRO_6000, 8, {"2xlarge": 1, "4xlarge": 1, "8xlarge": 1}),
        InstanceType("g7e.12xlarge", 48, 512, RTX_PRO_6000, 2),
        InstanceType("g7e.24xlarge", 96, 1024, RTX_PRO_6000, 4),
        InstanceType("g7e.48xlarge", 192, 2048, RTX_PRO_6000, 8),
        InstanceType("p4d.24xlarge", 96, 1152, A100_40, 8),
        InstanceType("p4de.24xlarge", 96, 1152, A100_80, 8),
        InstanceType("p5.4xlarge", 16, 256, H100, 1),
        InstanceType("p5.48xlarge", 192, 2048, H100, 8),
        InstanceType("p5e.48xlarge", 192, 2048, H200, 8),
        InstanceType("p5en.48xlarge", 192, 2048, H200, 8),
        InstanceType("p6-b200.48xlarge", 192, 2048, B200, 8),
        InstanceType("p6-b300.48xlarge", 192, 4096, B300, 8),
    )
}
