"""In which type a model's weights are kept on a card: chosen before the deploy, and again by the machine.

What is quantized are the products within the blocks of a transformer, which are nearly all of its weights. int8 and
nf4 keep each weight in eight or four bits and multiply in bfloat16, which every card with bfloat16 does. fp8 multiplies
in eight bits, each row with a scale of its own. Cards have such products from compute capability 8.9 on. PyTorch 2.13
takes cuBLAS for 9.0 and kernels of its own for the others, which must have been built for the very card
(aten/src/ATen/native/cuda: ScaledBlas.cpp, RowwiseScaledMM.cu). For 12.0 people report that they are not: "Rowwise
scaling is not currently supported on your device"; for 10.3 nobody says that they are. So both are refused. Rejected:
one scale for a whole tensor, which such cards do, but which the largest weight spoils for all others.

Rejected: fp8 by itself where the card has it. On an H200 an image takes 0.7 of the time with it, but its error is 2.3
to 3.1 times that of int8, and what changes an image is for a person to choose. Rejected: int8 by int8, which took four
to five times as long as int8 does.

Rejected: quantized weights in the cache of the bucket. Quantizing takes tenths of a second on a card, and a boot reads
the original weights in any case, because another type, a LoRA and Quantize=off want them. A second copy would have to
be written, paid for, fetched and checked, and would be trusted less.
"""

from __future__ import annotations

from userdata.contract.catalogue import FULL, OFF, Model
from userdata.job.choices import Quantize

Capability = tuple[int, int]
WITH_BFLOAT16 = (8, 0)
WITH_FP8: tuple[Capability, ...] = ((8, 9), (9, 0), (10, 0))


def choose_type(
    model: Model, quantize: str, *, precision: str, lora: bool, memory_gib: float, capability: Capability
) -> str:
    """The type that `model` is kept in on this card, `off` for its own.

    With auto that is its own wherever it fits, else int8, whose error is the smallest, else nf4. `lora` says that LoRAs
    are to be merged, which wants the own weights. Whether the choice fits, and whether the card can compute it, the
    caller asks (`why_not_card`).
    """
    if quantize != Quantize.auto:
        return str(quantize)
    if not model.quantized_gib or precision == FULL or lora or capability < WITH_BFLOAT16:
        return OFF
    for kept in (OFF, str(Quantize.int8), str(Quantize.nf4)):
        if (model.memory_need(precision, quantized=kept) or 0) <= memory_gib:
            return kept
    return OFF


def why_not_card(kept: str, card: str, capability: Capability) -> str | None:
    """Why a card of that compute capability cannot compute with weights kept in that type; None when it can."""
    if kept != Quantize.fp8 or capability in WITH_FP8:
        return None
    numbers = f"compute capability {capability[0]}.{capability[1]}"
    if capability < WITH_FP8[0]:
        return f"the {card} ({numbers}) multiplies no fp8 numbers, which came with 8.9: take Quantize=int8"
    return f"PyTorch's fp8 products are not sure to work on the {card} ({numbers}): take Quantize=int8"


def why_chosen(model: Model, kept: str, quantize: str, *, card: str, memory_gib: float) -> str:
    """One sentence for a person on weights that are not kept as they are."""
    sizes = f"which wants {model.memory_need('autocast', quantized=kept):g} GiB of the {card}'s {memory_gib:.1f}"
    if quantize != Quantize.auto:
        return f"The weights of {model.title} are kept in {kept} as Quantize says, {sizes}."
    without = f"{model.memory_need('autocast'):g}"
    return (
        f"The weights of {model.title} are kept in {kept}, {sizes}: without, they want {without}. This changes the "
        "images a little (docs/models.md). On an InstanceType with more memory they stay as they are."
    )
