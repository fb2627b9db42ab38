"""The formulas against computations of another kind: the layers as the trainers run them, and sums in plain loops."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812  # its usual name

from userdata.worker.model.lora_formulas import change_of

OUT, IN, RANK, EDGE = 6, 4, 2, 3
ALPHA = 3.0
RNG = np.random.default_rng(5)


def numbers(*shape: int) -> torch.Tensor:
    return torch.from_numpy(RNG.normal(size=shape)).float()


def agrees(change: torch.Tensor, expected: np.ndarray | torch.Tensor) -> None:
    expected = torch.as_tensor(np.asarray(expected), dtype=torch.float32)
    assert change.dtype == torch.float32
    assert change.shape == expected.shape
    assert float((change - expected).norm() / expected.norm()) < 1e-5


@pytest.mark.parametrize("alpha", [None, ALPHA])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_linear_layer_is_that_of_its_two_layers(alpha: float | None, dtype: torch.dtype) -> None:
    down, up, weight, x = numbers(RANK, IN), numbers(OUT, RANK), numbers(OUT, IN), numbers(5, IN)
    parts = {"down": down.to(dtype), "up": up.to(dtype)} | ({} if alpha is None else {"alpha": torch.tensor(alpha)})
    change = change_of(parts, weight)
    through = F.linear(F.linear(x, parts["down"].float()), parts["up"].float()) * ((alpha or RANK) / RANK)
    torch.testing.assert_close(F.linear(x, change), through, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("edge", [1, 3])
def test_a_convolution_is_that_of_its_two_convolutions(edge: int) -> None:
    down, up, x = numbers(RANK, IN, edge, edge), numbers(OUT, RANK, 1, 1), numbers(2, IN, 7, 7)
    change = change_of({"down": down, "up": up, "alpha": torch.tensor(ALPHA)}, numbers(OUT, IN, edge, edge))
    torch.testing.assert_close(
        F.conv2d(x, change), F.conv2d(F.conv2d(x, down), up) * ALPHA / RANK, rtol=1e-5, atol=1e-4
    )


def test_a_convolution_with_a_core_is_that_of_its_three_convolutions() -> None:
    down, mid, up = numbers(RANK, IN, 1, 1), numbers(RANK, RANK, EDGE, EDGE), numbers(OUT, RANK, 1, 1)
    x = numbers(2, IN, 7, 7)
    parts = {"down": down, "mid": mid, "up": up, "alpha": torch.tensor(ALPHA)}
    change = change_of(parts, numbers(OUT, IN, EDGE, EDGE))
    through = F.conv2d(F.conv2d(F.conv2d(x, down), mid), up) * ALPHA / RANK
    torch.testing.assert_close(F.conv2d(x, change), through, rtol=1e-5, atol=1e-4)


def test_a_linear_layers_change_fits_a_convolution_of_one_pixel_and_the_other_way_round() -> None:
    down, up = numbers(RANK, IN), numbers(OUT, RANK)
    as_matrix = change_of({"down": down, "up": up}, numbers(OUT, IN))
    as_pixels = change_of({"down": down, "up": up}, numbers(OUT, IN, 1, 1))
    agrees(as_pixels[:, :, 0, 0], as_matrix)
    agrees(change_of({"down": down[..., None, None], "up": up[..., None, None]}, numbers(OUT, IN)), as_matrix)


@pytest.mark.parametrize("shape", [(OUT, IN), (OUT, IN, EDGE, EDGE)])
def test_loha_multiplies_two_changes_number_by_number(shape: tuple[int, ...]) -> None:
    columns = int(np.prod(shape[1:]))
    parts = {f"hada_w{n}_a": numbers(OUT, RANK) for n in (1, 2)} | {
        f"hada_w{n}_b": numbers(RANK, columns) for n in (1, 2)
    }
    expected = np.zeros((OUT, columns))
    for o, c in itertools.product(range(OUT), range(columns)):
        first, second = (
            sum(float(parts[f"hada_w{n}_a"][o, r] * parts[f"hada_w{n}_b"][r, c]) for r in range(RANK)) for n in (1, 2)
        )
        expected[o, c] = first * second * ALPHA / RANK
    agrees(change_of({**parts, "alpha": torch.tensor(ALPHA)}, numbers(*shape)), expected.reshape(shape))


def test_loha_of_a_convolution_has_a_core_in_each_half() -> None:
    parts = {f"hada_t{n}": numbers(RANK, RANK, EDGE, EDGE) for n in (1, 2)}
    parts |= {f"hada_w{n}_a": numbers(RANK, OUT) for n in (1, 2)} | {f"hada_w{n}_b": numbers(RANK, IN) for n in (1, 2)}
    expected = np.ones((OUT, IN, EDGE, EDGE))
    for n in (1, 2):
        core, a, b = (parts[f"hada_{name}"].numpy() for name in (f"t{n}", f"w{n}_a", f"w{n}_b"))
        half = np.zeros_like(expected)
        for r, s, o, i in itertools.product(range(RANK), range(RANK), range(OUT), range(IN)):
            half[o, i] += core[r, s] * a[r, o] * b[s, i]
        expected *= half
    agrees(change_of(parts, numbers(OUT, IN, EDGE, EDGE)), expected)


LOKR_FIRST: dict[str, dict[str, tuple[int, ...]]] = {
    "whole": {"lokr_w1": (3, 2)},
    "of a rank": {"lokr_w1_a": (3, RANK), "lokr_w1_b": (RANK, 2)},
}
LOKR_SECOND: dict[str, dict[str, tuple[int, ...]]] = {
    "whole": {"lokr_w2": (2, 2)},
    "of a rank": {"lokr_w2_a": (2, RANK), "lokr_w2_b": (RANK, 2)},
    "of pixels": {"lokr_w2": (2, 2, EDGE, EDGE)},
    "of pixels, of a rank": {"lokr_w2_a": (2, RANK), "lokr_w2_b": (RANK, 2, EDGE, EDGE)},
    "of pixels, with a core": {"lokr_t2": (RANK, RANK, EDGE, EDGE), "lokr_w2_a": (RANK, 2), "lokr_w2_b": (RANK, 2)},
}


@pytest.mark.parametrize(("first", "second"), list(itertools.product(LOKR_FIRST, LOKR_SECOND)))
def test_lokr_is_a_block_for_each_number_of_its_first_matrix(first: str, second: str) -> None:
    parts = {name: numbers(*shape) for name, shape in {**LOKR_FIRST[first], **LOKR_SECOND[second]}.items()}
    n = {name: part.numpy() for name, part in parts.items()}
    outer = n["lokr_w1"] if "lokr_w1" in n else n["lokr_w1_a"] @ n["lokr_w1_b"]
    if "lokr_w2" in n:
        inner = n["lokr_w2"]
    elif "lokr_t2" in n:
        inner = sum(
            n["lokr_t2"][r, s] * np.multiply.outer(n["lokr_w2_a"][r], n["lokr_w2_b"][s])[:, :, None, None]
            for r, s in itertools.product(range(RANK), range(RANK))
        )
    else:
        inner = sum(np.multiply.outer(n["lokr_w2_a"][:, r], n["lokr_w2_b"][r]) for r in range(RANK))
    rows = [np.concatenate([number * inner for number in row], axis=1) for row in outer]
    expected = np.concatenate(rows, axis=0)
    # Two whole matrices have no rank, and their alpha means nothing.
    scale = 1.0 if first == "whole" and "lokr_w2" in n else ALPHA / RANK
    agrees(change_of({**parts, "alpha": torch.tensor(ALPHA)}, numbers(*expected.shape)), expected * scale)


@pytest.mark.parametrize("shape", [(OUT, IN), (OUT, IN, EDGE, EDGE), (IN, IN, EDGE, EDGE)])
@pytest.mark.parametrize("spelling", ["rows", "columns", "PEFT", "flat"])
def test_dora_gives_each_row_or_column_its_own_length(shape: tuple[int, ...], spelling: str) -> None:
    weight, down, up = numbers(*shape), numbers(RANK, *shape[1:]), numbers(shape[0], RANK)
    axis = 1 if spelling == "columns" else 0
    lengths = numbers(shape[axis]).abs() + 0.5
    ones = [1] * (len(shape) - 2)
    learned = {
        "rows": {"dora_scale": lengths.reshape(-1, 1, *ones)},
        "columns": {"dora_scale": lengths.reshape(1, -1, *ones)},
        # PEFT's of a convolution looks like LyCORIS's of columns.
        "PEFT": {"magnitude": lengths.reshape(1, -1, *ones) if ones else lengths},
        "flat": {"dora_scale": lengths},
    }[spelling]
    directions = (weight + torch.tensordot(up, down, dims=1) * ALPHA / RANK).numpy().astype(np.float64)
    expected = directions.copy()
    for k, length in enumerate(lengths.tolist()):
        where = (slice(None),) * axis + (k,)
        expected[where] *= length / np.sqrt((directions[where] ** 2).sum())
    change = change_of({"down": down, "up": up, "alpha": torch.tensor(ALPHA), **learned}, weight)
    agrees(change, expected - weight.numpy())


def test_a_whole_difference_is_added_as_it_is() -> None:
    difference = numbers(OUT)
    agrees(change_of({"diff": difference}, numbers(OUT)), difference)


@pytest.mark.parametrize(
    "parts",
    [
        {"down": numbers(RANK, IN)},
        {"down": numbers(RANK, IN), "up": numbers(OUT, RANK), "hada_w1_a": numbers(OUT, RANK)},
        {"down": numbers(RANK, IN), "up": numbers(OUT, RANK), "lokr_w1": numbers(2, 2)},
        {"down": numbers(RANK, IN + 1), "up": numbers(OUT, RANK)},
        {"down": numbers(RANK, OUT), "up": numbers(IN, RANK)},
        {"down": numbers(RANK, IN), "up": numbers(OUT, RANK + 1)},
        {"down": numbers(RANK, IN), "up": numbers(OUT, RANK), "dora_scale": numbers(3)},
        {"lokr_w1": numbers(3, 2), "lokr_w2": numbers(3, 2)},
    ],
)
def test_parts_that_are_no_change_of_the_weight_are_refused(parts: dict[str, torch.Tensor]) -> None:
    with pytest.raises((ValueError, RuntimeError)):
        change_of(parts, numbers(OUT, IN))
