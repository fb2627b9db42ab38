"""How fast a card draws: one table for `sd cost` and for the documentation, measured where it could be.

Stable Diffusion v1 has a figure for each card. The other models have a share of the card's own products, where both
are known, and else their arithmetic beside that of Stable Diffusion v1.

The unit is the article's image: Stable Diffusion v1, 512 x 640 pixels, 75 steps, guided, half precision. It takes
159.4 TFLOP: 2.08 for a guided step and 3.15 to decode. Of these cards the H100 and the H200 were measured in this
project, neither on AWS.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

STEP_TFLOP = 2.08
DECODE_TFLOP = 3.15
ARTICLE_PIXELS = 512 * 640
ARTICLE_STEPS = 75
ARTICLE_TFLOP = ARTICLE_STEPS * STEP_TFLOP + DECODE_TFLOP

# The share of a card's published dense half-precision rate that diffusers reaches on the slowest of the cards for
# which its own benchmark was published: T4, 12.2 of 65 TFLOP/s. A10 and A100 reach 27 and 29 %.
SHARE_OF_PUBLISHED_RATE = 0.19
DIFFUSERS_BENCHMARK = "diffusers' own benchmark (docs/source/en/optimization/torch2.0.md): Stable Diffusion, batch of 4"


@dataclass(frozen=True)
class CardSpeed:
    """Seconds for one of the article's images in a long run, and what the figure rests on."""

    seconds: float
    basis: Literal["measured", "projected"]
    origin: str


def _from_published_rate(tflops: float) -> CardSpeed:
    """The projection for a card whose maker states `tflops` dense half-precision TFLOP/s."""
    seconds = ARTICLE_TFLOP / (tflops * SHARE_OF_PUBLISHED_RATE)
    return CardSpeed(round(seconds, 1), "projected", f"19 % of the {tflops:g} TFLOP/s that NVIDIA states")


# By the names of stacks/facts/instance_types.py. A card without a line has no figure to rest on.
CARD_SPEEDS: dict[str, CardSpeed] = {
    "T4": CardSpeed(13.3, "projected", f"{DIFFUSERS_BENCHMARK}, 1.79 steps/s at 512 x 512"),
    "A10G": CardSpeed(
        7.0, "projected", "the article's 17.3 s on a g5.xlarge, by what diffusers gains over its scripts on an H100"
    ),
    # A user measured 53 to 69 TFLOP/s in large half-precision products (GitHub, zzc0721/torch-performance-test-data,
    # issue 120): the card's 72 W hold it below what NVIDIA states, as the T4's 70 W do, on which the share rests.
    "L4": _from_published_rate(121),
    "L40S": _from_published_rate(362),
    "A100 40 GB": CardSpeed(1.8, "projected", f"{DIFFUSERS_BENCHMARK}, 13.12 steps/s at 512 x 512"),
    "A100 80 GB": CardSpeed(1.8, "projected", "as the A100 40 GB, whose arithmetic it has"),
    "H100": CardSpeed(0.41, "measured", "H100 80GB, torch 2.11, this worker in a long run (docs/performance.md)"),
    # 0.389 and 0.390 in two runs of `python -m benchmarks.generator`, 20 images a batch, random weights, 2026-11-29.
    "H200": CardSpeed(0.39, "measured", "H200 (700 W), torch 2.11, this worker in a long run, not on AWS"),
    "B200": CardSpeed(0.41, "projected", "as the H100: faster by its published rate, but never tried"),
}

# The arithmetic of one pass of a model's network for each pixel, relative to Stable Diffusion v1's, by the model's
# layout; `python -m benchmarks.model_work` counts it. Guidance takes two passes a step.
WORK_PER_PIXEL: dict[str, float] = {
    "stable-diffusion-v1": 1.0,
    "stable-diffusion-xl": 2.03,
    "sdxl-turbo": 2.03,
    "sdxl-lightning": 2.03,
    "flux-schnell": 20.8,
    "flux2-klein": 10.4,
    "z-image-turbo": 17.3,
    "z-image": 17.3,
    "chroma": 22.4,
}

# TFLOP/s of a large product in bfloat16, as people measured it: the slowest of 4096³, 8192³ and 10240³, because a card
# of few watts is slower in the long run. Of the L40S the best size alone is stated, so it counts with the 77 % that the
# L4, the worst of these, keeps of its best. The A100's is that of a PCIe card, which has fewer watts than AWS's. The T4
# has no bfloat16 and no flash attention, and so no line.
_MEASURED_BY_OTHERS = "of large products in bfloat16 (GitHub, zzc0721/torch-performance-test-data, issue"
_A100 = (212.0, f"{_MEASURED_BY_OTHERS} 108)")
PRODUCT_RATES: dict[str, tuple[float, str]] = {
    "A10G": (62.5, f"{_MEASURED_BY_OTHERS} 126)"),
    "L4": (54.9, f"{_MEASURED_BY_OTHERS} 120)"),
    "L40S": (207.0, f"{_MEASURED_BY_OTHERS} 43: 77 % of the best size)"),
    "A100 40 GB": _A100,
    "A100 80 GB": _A100,
    "H100": (666.0, "of large products on an H200, times what Stable Diffusion v1 takes longer on an H100"),
    "H200": (700.0, "of a product of 8192³ on an H200 (docs/performance.md)"),
    "B200": (666.0, "of the H100: faster by its published rate, but never tried"),
}

# The share of that rate which this worker reached on an H200 in a long run or a job of four, of two runs the lower
# (docs/performance.md, "of the floor"). It carries over better than the arithmetic beside Stable Diffusion v1's, whose
# small matrices reach less: by it SDXL with 30 steps takes 9.5 s on an A10G and 2.8 on an A100, where 8.2 to 9.4 s on
# an A10 and 2.7 to 3.7 on an A100 are published (Stability AI and NVIDIA, the model card of
# stable-diffusion-xl-1.0-tensorrt). Rejected: that arithmetic, by which it would take 18 and 4.7 s.
SHARE_OF_PRODUCT_RATE: dict[str, float] = {
    "stable-diffusion-xl": 0.70,
    "sdxl-lightning": 0.70,  # the same network in the same size
    "sdxl-turbo": 0.49,
    "flux-schnell": 0.80,
    "flux2-klein": 0.75,
    "z-image-turbo": 0.80,
    "z-image": 0.80,  # the same network
    "chroma": 0.67,  # of single images: the mask makes its attention slower than that of FLUX.1
}

# How much longer a step takes with weights in a smaller type. FLUX.1's, the largest of four models, for four images on
# an H200 (docs/models.md); smaller cards were not measured. In fp8 an image took 0.7 of the time there: that is not
# counted on, because other cards multiply fp8 by other kernels.
KEPT_LONGER = {"off": 1.0, "int8": 1.07, "fp8": 1.0, "nf4": 1.13}


def seconds_per_image(
    card: str, *, layout: str, pixels: int, steps: float, guided: bool, kept: str = "off"
) -> float | None:
    """The expected seconds for one image on that card, or None where the card or the model has no figure.

    `kept` is the type that the model's weights are kept in there.

    The work grows with the pixels and the steps; that attention grows faster than the pixels is left out.
    """
    speed = CARD_SPEEDS.get(card)
    weight = WORK_PER_PIXEL.get(layout)
    if speed is None or weight is None:
        return None
    passes = 1.0 if guided else 0.5
    a_step = STEP_TFLOP * passes * weight * KEPT_LONGER[kept]
    work = (steps * a_step + DECODE_TFLOP) * pixels / ARTICLE_PIXELS
    if card in PRODUCT_RATES and layout in SHARE_OF_PRODUCT_RATE:
        return work / (PRODUCT_RATES[card][0] * SHARE_OF_PRODUCT_RATE[layout])
    return speed.seconds * work / ARTICLE_TFLOP


def basis_of(card: str, layout: str) -> str:
    """What `seconds_per_image` rests on there, after the word `measured` or `projected`; `none` without a figure."""
    speed = CARD_SPEEDS.get(card)
    if speed is None or layout not in WORK_PER_PIXEL:
        return "none"
    if card in PRODUCT_RATES and layout in SHARE_OF_PRODUCT_RATE:
        rate, origin = PRODUCT_RATES[card]
        share = 100 * SHARE_OF_PRODUCT_RATE[layout]
        return f"projected: {share:.0f} %, the share on an H200, of the {rate:g} TFLOP/s {origin}"
    if layout == "stable-diffusion-v1":
        return f"{speed.basis}: {speed.origin}"
    return f"projected: the arithmetic, beside Stable Diffusion v1's: {speed.origin}"
