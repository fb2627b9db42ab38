from __future__ import annotations

import json
from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPImageProcessor

from userdata.job.run_error import RunError
from userdata.worker.drawing.safety_classifier import CONFIGURATION, MEAN, SafetyClassifier
from userdata.worker.drawing.withheld import GREY, withheld

CPU = torch.device("cpu")
EDGE = 28


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checker's own configuration, only narrower."""
    folder = tmp_path_factory.mktemp("checker")
    config = json.loads((CONFIGURATION / "config.json").read_text())
    config["projection_dim"] = 8
    narrow = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2}
    config["vision_config"] |= narrow | {"image_size": EDGE, "projection_dim": 8}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def weights(configuration: Path, **thresholds: float) -> dict[str, torch.Tensor]:
    """Random weights by the names of the published file; a threshold of 2 flags nothing, of -2 everything."""
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker

    torch.manual_seed(0)
    model = StableDiffusionSafetyChecker(CLIPConfig.from_pretrained(configuration))
    named = {}
    for name, tensor in model.state_dict().items():
        if name.startswith("vision_model.") and not name.startswith("vision_model.vision_model."):
            name = "vision_model." + name
        named[name] = torch.randn(tensor.shape)
    named["concept_embeds_weights"] = torch.full((17,), thresholds.get("concepts", 2.0))
    named["special_care_embeds_weights"] = torch.full((3,), thresholds.get("special", 2.0))
    named["vision_model.vision_model.embeddings.position_ids"] = torch.arange(5)[None]
    return named


def checker(tmp_path: Path, configuration: Path, named: dict[str, torch.Tensor]) -> SafetyClassifier:
    file = tmp_path / "model.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in named.items()}, file)
    return SafetyClassifier(file, device=CPU, configuration=configuration)


def pictures(count: int) -> torch.Tensor:
    return torch.rand((count, 3, 64, 80), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def highest_scores(looks: SafetyClassifier, colours: torch.Tensor) -> torch.Tensor:
    model = looks._model
    embeddings = model.visual_projection(model.vision_model(looks._prepare(colours))[1])
    return torch.nn.functional.cosine_similarity(embeddings[:, None], model.concept_embeds[None], dim=-1).amax(1)


@pytest.mark.parametrize(("threshold", "flagged"), [(2.0, False), (-2.0, True)])
def test_thresholds_decide_and_no_picture_is_changed(
    tmp_path: Path, configuration: Path, threshold: float, flagged: bool
) -> None:
    looks = checker(tmp_path, configuration, weights(configuration, concepts=threshold))
    colours = pictures(3)
    before = colours.clone()
    assert looks.flags(colours).tolist() == [flagged] * 3
    assert torch.equal(colours, before)


def test_it_judges_as_the_original_rule_does(tmp_path: Path, configuration: Path) -> None:
    """A threshold in the middle of what these pictures score: some are flagged, some are not, as `forward` says."""
    colours = pictures(12)
    scores = highest_scores(checker(tmp_path, configuration, weights(configuration)), colours)
    middle = float(scores.sort().values[5:7].mean())
    looks = checker(tmp_path, configuration, weights(configuration, concepts=middle))
    _, expected = looks._model.forward(looks._prepare(colours), numpy.zeros((12, 1)))
    assert looks.flags(colours).tolist() == expected
    assert len(set(expected)) == 2


@pytest.mark.parametrize("size", [(64, 80), (300, 224), (512, 640)])
def test_pictures_are_prepared_as_clip_does(tmp_path: Path, configuration: Path, size: tuple[int, int]) -> None:
    looks = checker(tmp_path, configuration, weights(configuration))
    ramp = numpy.linspace(0, 255, size[0] * size[1] * 3).reshape(*size, 3)
    pixels = (ramp + 40 * numpy.sin(numpy.arange(size[1]) / 9)[None, :, None]).clip(0, 255).astype(numpy.uint8)
    processor = CLIPImageProcessor(size={"shortest_edge": EDGE}, crop_size={"height": EDGE, "width": EDGE})
    expected = processor(Image.fromarray(pixels), return_tensors="pt").pixel_values
    found = looks._prepare(torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255)
    # CLIP's processor rounds to whole levels; a level is 1/255 of the range, on the scale of the deviation.
    assert (found - expected).abs().max() < 3 / 255 / 0.26
    assert abs(float(found.mean()) - float(expected.mean())) < 0.01
    assert len(MEAN) == 3


@pytest.mark.parametrize("content", [b"", b"<html>Log in</html>"])
def test_a_broken_file_ends_the_run(tmp_path: Path, configuration: Path, content: bytes) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(content)
    with pytest.raises(RunError, match="safety checker .* cannot be loaded .*SafetyChecker=off"):
        SafetyClassifier(file, device=CPU, configuration=configuration)


def test_a_file_that_lacks_a_tensor_ends_the_run(tmp_path: Path, configuration: Path) -> None:
    named = weights(configuration)
    del named["concept_embeds"]
    with pytest.raises(RunError, match="concept_embeds"):
        checker(tmp_path, configuration, named)


def test_what_stands_for_a_withheld_image_shows_nothing_of_it_and_says_so() -> None:
    picture = withheld((512, 640))
    assert picture.size == (512, 640)
    colours = picture.getcolors(maxcolors=1 << 20)
    assert colours is not None
    assert max(colours)[1] == GREY
    assert len(colours) > 1
