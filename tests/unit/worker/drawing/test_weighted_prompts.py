"""The encoding of prompts, against the web interface's arithmetic written a second time, on pieces parted by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from userdata.worker.drawing import weighted_prompts
from userdata.worker.drawing.weighted_prompts import chunks_in, encode_text, prompts_weighted
from userdata.worker.model.pipeline import load_pipeline

Pieces = list[tuple[str, float]]
# 80 tokens. The last comma that is near enough to the end of the first chunk is its 60th token.
LONG = "a horse, " * 20 + "a " * 20
FAR_COMMA = "a horse, " * 18 + "a " * 26


@pytest.fixture(scope="module")
def pipeline(tiny_model: Path) -> Any:
    loaded = load_pipeline(tiny_model, layout="stable-diffusion-v1", device=torch.device("cpu"), from_image=False)
    # A trained encoder's states have a mean.
    loaded.text_encoder.final_layer_norm.bias.data.fill_(-0.1)
    return loaded


def by_hand(pipeline: Any, chunks: list[Pieces]) -> Any:
    """The states of chunks of words with weights: chunks × 77 × width."""
    made = []
    for pieces in chunks:
        tokens, weights = [49406], [1.0]
        for text, weight in pieces:
            words = pipeline.tokenizer(text).input_ids[1:-1]
            tokens += words
            weights += [weight] * len(words)
        tokens += [49407] * (77 - len(tokens))
        weights += [1.0] * (77 - len(weights))
        with torch.no_grad():
            plain = pipeline.text_encoder(torch.tensor([tokens])).last_hidden_state[0].double().numpy()
        weighed = plain * numpy.array(weights)[:, None]
        made.append(weighed * (plain.mean() / weighed.mean()))
    return numpy.stack(made)


@pytest.mark.parametrize(
    ("prompt", "chunks"),
    [
        ("a (red:1.5) horse, [tree]", [[("a", 1), ("red", 1.5), ("horse,", 1), ("tree", 1 / 1.1)]]),
        ("((a)) (horse:0)", [[("a", 1.21), ("horse", 0)]]),
        ("a horse BREAK (a tree:0.5)", [[("a horse", 1)], [("a tree", 0.5)]]),
        ("BREAK a tree", [[], [("a tree", 1)]]),
        (LONG, [[("a horse, " * 20, 1)], [("a " * 20, 1)]]),
        (f"({LONG}:1.2)", [[("a horse, " * 20, 1.2)], [("a " * 20, 1.2)]]),
        (FAR_COMMA, [[("a horse, " * 18 + "a " * 21, 1)], [("a " * 5, 1)]]),
        ("a " * 75, [[("a " * 75, 1)]]),
        ("a " * 76, [[("a " * 75, 1)], [("a", 1)]]),
        ("a " * 75 + ", b", [[("a " * 75, 1)], [(", b", 1)]]),
        (r"a horse \(small\)", [[("a horse (small)", 1)]]),
    ],
)
def test_states_are_those_of_the_web_interface(pipeline: Any, prompt: str, chunks: list[Pieces]) -> None:
    with torch.no_grad():
        states = encode_text(pipeline, prompt).states.numpy()
    wanted = by_hand(pipeline, chunks)
    assert states.shape == wanted.shape
    assert abs(states - wanted).max() < 1e-5 * abs(wanted).max()
    assert chunks_in(pipeline, prompt) == len(chunks)


def test_weights_that_leave_no_mean_leave_the_states_finite(pipeline: Any) -> None:
    with torch.no_grad():
        for prompt in ("(a horse under a tree:-1)" * 5, f"({'a ' * 75}:0)", f"({'a ' * 75}:-10)"):
            states = encode_text(pipeline, prompt).states
            assert torch.isfinite(states).all()
            assert states.abs().max() < 2000


def encode(pipeline: Any, prompts: list[str], negatives: list[str], *, guided: bool = True) -> Any:
    with torch.no_grad():
        return pipeline.encode_prompt(prompts, torch.device("cpu"), 1, guided, negatives)


def test_a_plain_batch_is_encoded_as_ever(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = (["a horse", "a tree, " * 24, "it's 12:30 :)"], ["", "blurry", ""])
    before = encode(pipeline, *texts)
    with prompts_weighted(pipeline):
        with monkeypatch.context() as patched:  # a GPU's rounding would tell, a CPU's does not
            patched.setattr(weighted_prompts, "encode_text", None)
            after = encode(pipeline, *texts)
        weighed = encode(pipeline, ["a (horse:1.3)", *texts[0][1:]], texts[1])
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert not torch.equal(before[0][0], weighed[0][0])
    torch.testing.assert_close(weighed[0][1:], before[0][1:], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(weighed[1], before[1], atol=1e-5, rtol=1e-5)
    assert all(torch.equal(one, other) for one, other in zip(before, encode(pipeline, *texts), strict=True))


def test_both_texts_of_an_image_get_one_length(pipeline: Any) -> None:
    with prompts_weighted(pipeline):
        prompts, negatives = encode(pipeline, [LONG, "a BREAK b BREAK c"], ["dark", "d BREAK e"])
        unguided = encode(pipeline, [LONG], [f"{LONG} BREAK {LONG}"], guided=False)
    assert prompts.shape == negatives.shape == (2, 3 * 77, prompts.shape[-1])
    assert torch.equal(negatives[0, :77], negatives[0, 77:154])
    assert unguided[0].shape[1] == 2 * 77
    assert unguided[1] is None


def test_a_repeated_text_changes_nothing(pipeline: Any) -> None:
    """What the network makes of a text that is repeated to the length of the other is what it makes of it alone."""
    latents = torch.randn((1, 4, 8, 9), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        states = encode_text(pipeline, "a (dark:1.4) horse").states
        once, thrice = (
            pipeline.unet(latents, 500, encoder_hidden_states=states.repeat(1, times, 1)).sample for times in (1, 3)
        )
    torch.testing.assert_close(once, thrice, atol=1e-4, rtol=1e-4)
    assert float(once.std()) > 0.1
