"""Embeddings: the text encoders read the file's vectors in the place of its name, and nothing else changes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from userdata.contract.bundle import BUNDLE
from userdata.job.run_error import RunError
from userdata.worker.drawing.weighted_prompts import encode_text
from userdata.worker.model.embeddings import teach_embeddings

Write = Callable[[Path, torch.Tensor], None]
SETTINGS = {"intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "eos_token_id": 2}
VECTORS = torch.linspace(-1, 1, 3 * 32).reshape(3, 32)
FORMATS: dict[str, tuple[str, Write]] = {
    "the web interface's .pt": (
        "style.pt",
        lambda file, vectors: torch.save(
            {"string_to_token": {"*": 265}, "string_to_param": {"*": vectors}, "name": "old name", "step": 3}, file
        ),
    ),
    "the web interface's .safetensors": ("style.safetensors", lambda f, vectors: save_file({"emb_params": vectors}, f)),
    "diffusers' .bin": ("learned_embeds.bin", lambda file, vectors: torch.save({"<style>": vectors}, file)),
    "diffusers' .safetensors": ("learned_embeds.safetensors", lambda f, vectors: save_file({"<style>": vectors}, f)),
    "a safetensors file called .pt": ("style.pt", lambda file, vectors: save_file({"emb_params": vectors}, file)),
}


def encoder(kind: Any, width: int) -> Any:
    torch.manual_seed(width)
    return kind(CLIPTextConfig(hidden_size=width, projection_dim=width, **SETTINGS)).eval()


@pytest.fixture(scope="module")
def fresh() -> Any:
    """The text encoders of XL, narrower."""
    return SimpleNamespace(
        tokenizer=CLIPTokenizer.from_pretrained(BUNDLE.tokenizer),
        tokenizer_2=CLIPTokenizer.from_pretrained(BUNDLE.tokenizer, pad_token="!"),
        text_encoder=encoder(CLIPTextModel, 32),
        text_encoder_2=encoder(CLIPTextModelWithProjection, 64),
    )


@pytest.fixture
def v1(fresh: Any) -> Any:
    return SimpleNamespace(tokenizer=copy.deepcopy(fresh.tokenizer), text_encoder=copy.deepcopy(fresh.text_encoder))


def read(pipeline: Any, text: str, end: str = "") -> Any:
    tokenizer = getattr(pipeline, f"tokenizer{end}")
    ids = tokenizer([text], padding="max_length", max_length=77, return_tensors="pt").input_ids
    with torch.no_grad():
        return getattr(pipeline, f"text_encoder{end}")(ids)


def with_vectors(pipeline: Any, text: str, first: int, vectors: torch.Tensor, end: str = "") -> Any:
    """What the encoder makes of `text` when `vectors` take the place of its words from the token `first` on."""

    def replace(_module: Any, _given: Any, found: torch.Tensor) -> torch.Tensor:
        found[0, first : first + len(vectors)] = vectors
        return found

    hook = getattr(pipeline, f"text_encoder{end}").get_input_embeddings().register_forward_hook(replace)
    try:
        return read(pipeline, text, end)
    finally:
        hook.remove()


@pytest.mark.parametrize("form", FORMATS)
def test_a_name_in_a_prompt_is_read_as_the_vectors_of_its_file(form: str, fresh: Any, v1: Any, tmp_path: Path) -> None:
    name, write = FORMATS[form]
    write(tmp_path / name, VECTORS)
    teach_embeddings(v1, {"my-style": tmp_path / name})
    expected = with_vectors(fresh, "a x x x tree", 2, VECTORS).last_hidden_state
    for prompt in ("a my-style tree", "a My-Style tree", "a embedding:my-style tree"):
        assert torch.equal(read(v1, prompt).last_hidden_state, expected)


@pytest.mark.parametrize("prompt", ["a tree", "my-styles of a tree", "not-my-style"])
def test_other_words_are_read_as_before(prompt: str, fresh: Any, v1: Any, tmp_path: Path) -> None:
    save_file({"emb_params": VECTORS}, tmp_path / "style.safetensors")
    teach_embeddings(v1, {"my-style": tmp_path / "style.safetensors"})
    assert torch.equal(read(v1, prompt).last_hidden_state, read(fresh, prompt).last_hidden_state)


def test_a_name_can_be_weighed_like_any_word(v1: Any, tmp_path: Path) -> None:
    save_file({"emb_params": VECTORS}, tmp_path / "style.safetensors")
    teach_embeddings(v1, {"my-style": tmp_path / "style.safetensors"})
    v1.device = torch.device("cpu")
    v1.text_encoder.final_layer_norm.bias.data.fill_(-0.1)  # a trained encoder's states have a mean
    with torch.no_grad():
        (weighed,) = encode_text(v1, "a (my-style:1.5) horse").states
    (plain,) = read(v1, "a my-style horse").last_hidden_state
    weights = torch.ones(77, 1)
    weights[2:5] = 1.5
    torch.testing.assert_close(weighed, plain * weights * (plain.mean() / (plain * weights).mean()))


def test_xls_two_encoders_get_their_own_vectors_and_find_the_end_of_the_text(fresh: Any, tmp_path: Path) -> None:
    vectors = {"clip_l": VECTORS, "clip_g": torch.linspace(-1, 1, 3 * 64).reshape(3, 64)}
    save_file(vectors, tmp_path / "style.safetensors")
    taught = copy.deepcopy(fresh)
    teach_embeddings(taught, {"style": tmp_path / "style.safetensors"})
    first = with_vectors(fresh, "a x x x tree", 2, vectors["clip_l"])
    second = with_vectors(fresh, "a x x x tree", 2, vectors["clip_g"], "_2")
    assert torch.equal(read(taught, "a style tree").last_hidden_state, first.last_hidden_state)
    assert torch.equal(read(taught, "a style tree", "_2").text_embeds, second.text_embeds)


@pytest.mark.parametrize(
    ("tensors", "why"),
    [
        ({"emb_params": torch.ones(2, 768)}, "it was made for Stable Diffusion 1, and .* widths of 32"),
        ({"emb_params": torch.ones(2, 1024)}, "it was made for Stable Diffusion 2"),
        ({"clip_l": torch.ones(2, 768), "clip_g": torch.ones(2, 1280)}, "it was made for Stable Diffusion XL"),
        ({"emb_params": torch.full([2, 32], torch.nan)}, "no number"),
        ({"emb_params": torch.ones(76, 32)}, "it has 76 vectors, and a text encoder reads 75"),
        ({"lora_unet_x.lora_down.weight": torch.ones(2, 3, 4)}, "it is a LoRA, which is named as Lora"),
        ({f"decoder.conv_in.{k}": torch.ones(1) for k in "abc"}, "it is a VAE alone, which is named as Vae"),
    ],
)
def test_another_file_is_named_for_what_it_is(tensors: dict[str, Any], why: str, v1: Any, tmp_path: Path) -> None:
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(RunError, match=rf"^a\.safetensors is no embedding that can be used: .*{why}.*as Embeddings\.$"):
        teach_embeddings(v1, {"a": tmp_path / "a.safetensors"})


def test_a_pickle_that_runs_something_is_refused_before_it_does(v1: Any, tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "it-ran",))

    torch.save({"string_to_param": {"*": VECTORS}, "name": Harmful()}, tmp_path / "a.pt")
    with pytest.raises(RunError, match="could be any code; nothing of it was run"):
        teach_embeddings(v1, {"a": tmp_path / "a.pt"})
    assert not (tmp_path / "it-ran").exists()
