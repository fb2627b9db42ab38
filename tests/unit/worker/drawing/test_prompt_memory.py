from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from userdata.worker.drawing.prompt_memory import prompts_remembered


@pytest.fixture
def encoded() -> list[Any]:
    return []


@pytest.fixture
def pipeline(encoded: list[Any]) -> Any:
    class Pipeline(SimpleNamespace):
        def encode_prompt(self, prompt: list[str], *, negative_prompt: list[str]) -> tuple[str, str]:
            encoded.append((prompt, negative_prompt))
            return f"code of {prompt}", f"code of {negative_prompt}"

    return Pipeline()


def test_batches_of_one_prompt_encode_it_once(pipeline: Any, encoded: list[Any]) -> None:
    with prompts_remembered(pipeline):
        codes = [pipeline.encode_prompt(["a cat"] * 2, negative_prompt=[""] * 2) for _ in range(3)]
    assert len(encoded) == 1
    assert codes == [("code of ['a cat', 'a cat']", "code of ['', '']")] * 3


@pytest.mark.parametrize(("prompt", "negative"), [(["a dog"], [""]), (["a cat"], ["dark"]), (["a cat"] * 2, [""] * 2)])
def test_other_texts_are_encoded(pipeline: Any, encoded: list[Any], prompt: list[str], negative: list[str]) -> None:
    with prompts_remembered(pipeline):
        pipeline.encode_prompt(["a cat"], negative_prompt=[""])
        assert pipeline.encode_prompt(prompt, negative_prompt=negative)[0] == f"code of {prompt}"
        pipeline.encode_prompt(["a cat"], negative_prompt=[""])
    assert len(encoded) == 3


def test_nothing_is_remembered_of_what_failed(pipeline: Any, encoded: list[Any]) -> None:
    with prompts_remembered(pipeline):
        with pytest.raises(TypeError):
            pipeline.encode_prompt()
        pipeline.encode_prompt(["a cat"], negative_prompt=[""])
    pipeline.encode_prompt(["a cat"], negative_prompt=[""])
    assert len(encoded) == 2, "afterwards the pipeline is as before"


def test_a_pipeline_that_is_dropped_may_lose_what_was_set_in_any_order(pipeline: Any) -> None:
    """As the garbage collector ends both, when nobody has released them."""
    outer, inner = prompts_remembered(pipeline), prompts_remembered(pipeline)
    for one in (outer, inner):
        one.__enter__()
    for one in (outer, inner):
        one.__exit__(None, None, None)
