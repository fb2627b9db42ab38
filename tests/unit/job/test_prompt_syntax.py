from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from userdata.job.job import Job
from userdata.job.prompt_notices import job_notices, prompt_notices
from userdata.job.prompt_syntax import is_plain, parse_prompt
from userdata.job.refusal import explain


@pytest.mark.parametrize(
    ("prompt", "pieces"),
    [
        # The examples that AUTOMATIC1111's own reader of prompts documents.
        ("normal text", [("normal text", 1.0)]),
        ("an (important) word", [("an ", 1.0), ("important", 1.1), (" word", 1.0)]),
        ("(unbalanced", [("unbalanced", 1.1)]),
        (r"\(literal\]", [("(literal]", 1.0)]),
        ("(unnecessary)(parens)", [("unnecessaryparens", 1.1)]),
        (
            "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
            [
                *(("a ", 1.0), ("house", 1.573), (" ", 1.1), ("on", 1.0), (" a ", 1.1), ("hill", 0.55)),
                *((", sun, ", 1.1), ("sky", 1.4641), (".", 1.1)),
            ],
        ),
        # Others.
        ("[a]", [("a", 1 / 1.1)]),
        ("(a:0) (b:-1.5)( c: .5 )", [("a", 0), (" ", 1), ("b", -1.5), (" c", 0.5)]),
        ("a) b] :) 12:30", [("a) b] :) 12:30", 1.0)]),
        ("(a:nan) (b:1.2.3)", [("a:nan", 1.1), (" ", 1.0), ("b:1.2.3", 1.1)]),
        (r"a \\(b)", [("a \\", 1.0), ("b", 1.1)]),
        ("a BREAKFAST", [("a BREAKFAST", 1.0)]),
        ("", []),
    ],
)
def test_brackets_mean_what_the_community_means(prompt: str, pieces: list[tuple[str, float]]) -> None:
    ((*read,),) = parse_prompt(prompt)
    assert [text for text, _ in read] == [text for text, _ in pieces]
    assert [weight for _, weight in read] == pytest.approx([weight for _, weight in pieces])


def test_break_parts_a_prompt_within_brackets_too() -> None:
    texts = [[piece.text for piece in part] for part in parse_prompt("(a BREAK b) c\nBREAK\nd BREAK")]
    assert texts == [["a"], ["b", " c"], ["d"], []]


@given(st.text(st.characters(exclude_characters="()[]\\", codec="utf-8")).filter(lambda text: "BREAK" not in text))
def test_a_text_without_marks_is_plain(text: str) -> None:
    assert is_plain(text)
    assert parse_prompt(text) == ([[(text, 1.0)]] if text else [[]])


@given(st.text("()[]\\:.1 aBREAK"))
def test_any_text_is_read_or_refused_in_a_sentence(text: str) -> None:
    try:
        parts = parse_prompt(text)
    except ValueError as error:
        assert "but weights are from" in str(error)
    else:
        assert all(abs(piece.weight) <= 10 for part in parts for piece in part)
    is_plain(text)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            {"prompt": "a horse (at 12:30)"},
            "Prompt gives 'at 12' the weight 30, but weights are from -10 to 10: correct it, or write \\( and \\) for "
            "brackets that are text.",
        ),
        ({"negative_prompt": "(a:1e9)"}, "NegativePrompt gives 'a' the weight 1e+09, but weights are "),
        ({"prompt": "(a:-1e999)"}, "Prompt gives 'a' the weight -inf, but weights are "),
        ({"prompt": "((a:9):9)"}, "Prompt gives 'a' the weight 81, but "),
        ({"prompt": "(" * 900}, "Prompt has more than 100 ( in one another: write \\( where it is text."),
    ],
)
def test_a_weight_out_of_range_is_refused_with_the_way_out(given: dict[str, str], sentence: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        Job.model_validate(given)
    assert "".join(explain(refusal.value, Job)).startswith(sentence)
    Job.model_validate({**given, "model": "z-image"})  # which reads brackets as words


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("tree AND sun, __color__ {red|blue}", "AND, __color__, {red|blue}"),
        ("[cat|dog] [cat:dog:0.5] [(cat:1.2):10]", "[cat|dog], [cat:dog:0.5], [(cat:1.2):10]"),
        ("a <hypernet:style:0.5>", "<hypernet:style:0.5>"),
    ],
)
def test_what_is_not_read_is_told_once(text: str, shown: str) -> None:
    (notice,) = prompt_notices([("Prompt", text), ("Prompt", text)], weighed=True)
    assert notice.startswith(f"Prompt has {shown}: other programs would compose, choose or replace,")


@pytest.mark.parametrize(
    "text", ["a horse and a tree", "snake_case __init", "(a:1.3) [b], BREAK c", "ANDROID {a}", "a | b :)"]
)
def test_nothing_is_told_of_what_is_read(text: str) -> None:
    assert prompt_notices([("Prompt", text)], weighed=True) == []


@pytest.mark.parametrize("text", ["sad :( horse", "[a", "((a)"])
def test_a_bracket_without_its_end_is_told(text: str) -> None:
    (notice,) = prompt_notices([("Prompt", text)], weighed=True)
    assert notice == (
        "Prompt has a bracket without its end, which weighs all that follows it: write \\( where it is text."
    )


def test_brackets_that_weigh_nothing_are_told() -> None:
    texts = [("Prompt", "a horse"), ("NegativePrompt", "(dark:1.3)"), *[("Prompt", f"{n} AND") for n in range(9)]]
    notices = prompt_notices(texts, weighed=False)
    assert notices[0].startswith("NegativePrompt has brackets or BREAK, which this model or engine reads as words")
    assert notices[-1] == "5 more texts have such words."
    assert job_notices([Job(prompt="a <lora:style:0.5> (tree:1.2)", lora="inputs/style.safetensors")]) == []
    assert Job().weighs_words
    assert not Job(engine="compvis").weighs_words


def test_a_negative_prompt_that_guidance_would_have_to_read_is_told_of() -> None:
    (notice,) = job_notices([Job(model="sdxl-turbo", negative_prompt="rain")])
    assert notice.startswith("NegativePrompt is not read, because GuidanceScale 0 is without guidance")
    assert job_notices([Job(model="sdxl-turbo"), Job(negative_prompt="rain"), Job(negative_prompt=" ", scale=1)]) == []
