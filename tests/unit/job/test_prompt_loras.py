from __future__ import annotations

import pytest

from userdata.job.image_request import image_requests
from userdata.job.job import Job
from userdata.job.prompt_file import PromptFileError, read_prompt_file

LISTED = "inputs/my-style-0123abcd.safetensors:0.8, hf:owner/name/light+1.safetensors:0"


@pytest.mark.parametrize(
    ("prompt", "text", "loras"),
    [
        ("a horse", "a horse", {"my-style": 0.8}),
        ("a horse <lora:my-style:0.5>", "a horse", {"my-style": 0.5}),
        ("a horse <lora:my-style>", "a horse", {"my-style": 1.0}),
        ("<lora:my style:-0.25>a horse", "a horse", {"my-style": -0.25}),
        ("a horse <lora:my-style:0>, red", "a horse, red", {}),
        ("a <LORA:light+1:.5> horse <lyco:my-style:9>", "a horse", {"my-style": 9.0, "light+1": 0.5}),
        ("a <lorry:3> (horse:1.2)", "a <lorry:3> (horse:1.2)", {"my-style": 0.8}),
    ],
)
def test_a_prompt_gives_weights_and_is_drawn_without_them(prompt: str, text: str, loras: dict[str, float]) -> None:
    (request,) = image_requests(Job(prompt=prompt, lora=LISTED, n_iter=1, n_samples=1))
    assert (request.prompt, request.loras) == (text, loras)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"prompt": "a <lora:other:1>"}, "Prompt asks for the LoRA other, but Lora lists my-style, light"),
        ({"prompt": "a <lora:x:1>", "lora": ""}, "Prompt asks for the LoRA x, but Lora lists none: add its file"),
        ({"prompt": "a <lora:my-style> <lora:my style:1>"}, "asks for the LoRA my-style twice"),
        ({"prompt": "<lora:my-style:1>"}, "has nothing but LoRAs"),
        ({"prompt": "a <lora:my-style:1:0.5>"}, r"<lora:my-style:1:0\.5>, but a LoRA has one weight"),
        ({"prompt": "a <lora:my-style:much>"}, "has one weight, from -9 to 9"),
        ({"prompt": "a <lora:my-style:9.5>"}, "has one weight"),
        ({"prompt": "a <lora:my-style:nan>"}, "has one weight"),
        ({"prompt": "a <lora:my-style:0.12345>"}, "up to 3 decimals"),
        (
            {"negative_prompt": "b <lora:my-style:1>"},
            "NegativePrompt has <lora:my-style:1>, but .* write it into Prompt",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(given: dict[str, str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Job(**{"lora": LISTED, **given})


def test_each_line_of_a_prompt_file_has_its_own() -> None:
    job = Job(lora=LISTED, n_iter=1, n_samples=1)
    lines = read_prompt_file(
        b"a horse\na tree <lora:my-style:0.1>\nred <lora:light+1:1>\nblue <lora:my-style:0.1>\n", job
    )
    requests = image_requests(job, lines)
    assert [request.loras for request in requests] == [
        {"my-style": 0.8},
        {"my-style": 0.1},
        {"my-style": 0.8, "light+1": 1.0},
        {"my-style": 0.1},
    ]
    assert requests[1].batch_key == requests[3].batch_key
    assert len({request.batch_key for request in requests}) == 3
    with pytest.raises(PromptFileError, match="Line 2: Prompt asks for the LoRA unknown, but Lora lists my-style"):
        read_prompt_file(b"a horse\na tree <lora:unknown:1>\n", job)


def test_a_job_from_before_has_the_name_that_it_had() -> None:
    """Names of standing stacks' runs, which an update must not draw again."""
    assert Job(lora="inputs/style.safetensors:0.8").name == "a-horse-standing-under-a-tree-a771b4685f"
    assert Job().name == "a-horse-standing-under-a-tree-d31915de36"
