from __future__ import annotations

import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from userdata.job.image_request import image_requests, wants_drawn_seed
from userdata.job.job import Job
from userdata.job.prompt_file import MOST_BYTES, PromptFileError, parse_line, read_prompt_file

PRINTABLE = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=80)


@pytest.mark.parametrize(
    ("line", "given_values"),
    [
        ("a horse under a tree", {"prompt": "a horse under a tree"}),
        ('  it\'s a horse, "quoted"  ', {"prompt": 'it\'s a horse, "quoted"'}),
        ("a horse -- in the sun", {"prompt": "a horse -- in the sun"}),
        ("it's a horse --seed 7 --steps 30", {"prompt": "it's a horse", "seed": "7", "ddim_steps": "30"}),
        (
            '--prompt "a castle" --negative_prompt "people, cars" --sampler_name "Euler a" --width 768 --height 512',
            {"prompt": "a castle", "negative_prompt": "people, cars", "sampler": "Euler a", "W": "768", "H": "512"},
        ),
        ("--prompt a castle by the sea --cfg_scale 5", {"prompt": "a castle by the sea", "scale": "5"}),
        (
            "a --n_iter 2 --batch_size 3 --strength 0.5 --upscale 2",
            {"prompt": "a", "n_iter": "2", "n_samples": "3", "strength": "0.5", "upscale": "2"},
        ),
        (
            "a --plms --ddim_steps 20 --scale 0 --W 64 --H 64",
            {"prompt": "a", "sampler": "plms", "ddim_steps": "20", "scale": "0", "W": "64", "H": "64"},
        ),
        ("a --negative-prompt b c --ddim-eta 0.5", {"prompt": "a", "negative_prompt": "b c", "ddim_eta": "0.5"}),
    ],
)
def test_options_are_spelled_as_the_community_and_the_original_spell_them(
    line: str, given_values: dict[str, str]
) -> None:
    assert parse_line(line) == given_values


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("a horse --stepz 20", "--stepz is no option; there are --prompt, --negative_prompt, "),
        ("a horse --steps", "--steps has no value"),
        ("a horse --steps 20 30", "'30' is no option"),
        ("a horse --steps 20 --ddim_steps 30", "--ddim_steps gives a second ddim_steps"),
        ("a horse --prompt a tree", "--prompt gives a second prompt"),
        ("--seed 7", "it has no prompt"),
        ('a horse --negative_prompt "x', "a quote has no end"),
        ("a horse --steps many", "--steps is 'many', but must be a whole number from 1 to 1000, for example 75"),
        ("a horse --W 63", "--W is '63', but must be a whole number from 64 to 2048"),
        ("a horse --seed -2", "--seed is '-2', but must be a whole number from -1"),
        (
            "a horse --sampler_name Heun",
            "Sampler is 'Heun', which is not offered: the nearest is euler. There are ddim, ",
        ),
        ("a horse --ddim_eta 0.5 --plms", "Eta is 0.5, but must be 0 for Sampler plms"),
        ("x" * 10_001, "Prompt is 'xxx"),
        ("a horse --sd_model other", "--sd_model is no option"),
    ],
)
def test_a_broken_line_is_refused_with_its_number(line: str, why: str) -> None:
    with pytest.raises(PromptFileError, match="Line 3: ") as refusal:
        read_prompt_file(f"# prompts\n\n{line}\na tree\n".encode(), Job())
    assert why.lower() in str(refusal.value).lower()


def test_all_broken_lines_are_told_up_to_a_number() -> None:
    with pytest.raises(PromptFileError) as refusal:
        read_prompt_file(b"a --x 1\n" * 12, Job())
    assert re.findall(r"Line \d+", str(refusal.value)) == [f"Line {k}" for k in range(1, 6)]
    assert "There are 7 more such lines." in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "There is no prompt"),
        (b"# only\n\n   \n", "There is no prompt"),
        ("ein Pferd\nein B\u00e4r".encode("latin-1"), "Line 2 is not UTF-8"),
        ("a horse\na tree".encode("utf-16-le"), "Line 1 has a NUL, as text in UTF-16 has. Save the file in UTF-8"),
        ("a horse\na tree".encode("utf-16"), "Line 1 is not UTF-8"),
        (b"x" * (MOST_BYTES + 1), "must have at most"),
    ],
)
def test_a_file_that_is_none_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(PromptFileError, match=why):
        read_prompt_file(content, Job())


def test_line_numbers_are_those_of_an_editor() -> None:
    lines = read_prompt_file("\ufeffa\r\n\r\n# no\r\nb \u2028 c\rd".encode(), Job())
    assert [(line.number, line.job.prompt) for line in lines] == [(1, "a"), (4, "b \u2028 c"), (5, "d")]


@given(st.lists(st.tuples(PRINTABLE, st.integers(0, 2**32 - 1), st.integers(1, 1000)), min_size=1, max_size=8))
def test_any_prompt_in_quotes_and_its_options_come_back(wanted: list[tuple[str, int, int]]) -> None:
    wanted = [(prompt, seed, steps) for prompt, seed, steps in wanted if prompt.strip()] or [("a", 1, 1)]
    text = "\n".join(f"--prompt {shlex.quote(p)} --seed {seed} --steps {steps}" for p, seed, steps in wanted)
    lines = read_prompt_file(text.encode(), Job(n_iter=1))
    assert [(line.job.prompt, line.job.seed, line.job.ddim_steps) for line in lines] == wanted


@given(PRINTABLE)
def test_any_line_is_read_or_refused_with_a_sentence(line: str) -> None:
    try:
        lines = read_prompt_file(line.encode(), Job())
    except PromptFileError as error:
        assert str(error).endswith(".")
    else:
        if " --" not in line and not line.startswith("--"):
            assert lines[0].job.prompt == line.strip()


def test_the_file_is_gone_through_n_iter_times_as_in_the_original() -> None:
    """Any number of lines: the last batch is smaller, which crashed the original."""
    job = Job(n_iter=2, n_samples=2, seed=10)
    requests = image_requests(job, read_prompt_file(b"a\nb\nc", job))
    assert [(r.index, r.prompt, r.seed, r.line) for r in requests] == [
        (0, "a", 10, 1),
        (1, "b", 11, 2),
        (2, "c", 12, 3),
        (3, "a", 13, 1),
        (4, "b", 14, 2),
        (5, "c", 15, 3),
    ]


def test_a_line_can_ask_for_more_and_for_a_seed_of_its_own() -> None:
    job = Job(n_iter=1, seed=10)
    requests = image_requests(job, read_prompt_file(b"a\nb --n_iter 2 --batch_size 2 --seed 70\nc", job))
    assert [(r.prompt, r.seed) for r in requests] == [
        ("a", 10),
        ("b", 70),
        ("b", 71),
        ("c", 13),
        ("b", 72),
        ("b", 73),
    ]


def test_fixed_code_gives_every_batch_the_same_noise() -> None:
    job = Job(n_iter=2, n_samples=3, seed=10, fixed_code="on")
    assert [r.seed for r in image_requests(job)] == [10, 11, 12, 10, 11, 12]
    one = job.model_copy(update={"n_samples": 1})
    assert {r.seed for r in image_requests(one, read_prompt_file(b"a\nb\nc", one))} == {10}


def test_a_file_of_too_many_prompts_or_images_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are counted before the first is checked, because that takes its time on a machine that costs money."""
    monkeypatch.setattr("userdata.job.prompt_file.parse_line", None)
    with pytest.raises(PromptFileError, match=r"It has more than 10,000 prompts\. Make several files of it"):
        read_prompt_file(b"a\n" * 8_000_000, Job())
    monkeypatch.undo()
    monkeypatch.setattr("userdata.job.prompt_file.MOST_IMAGES", 2000)
    assert len(read_prompt_file(b"a\nb", Job(n_iter=1000))) == 2
    with pytest.raises(PromptFileError, match=r"It makes 2,001 images, but a run may have 2,000\. Lower Iterations"):
        read_prompt_file(b"a\nb\nc --n_iter 1", Job(n_iter=1000))


@pytest.mark.parametrize(
    ("line", "given"),
    [
        ("a castle —steps 20 –seed 7", {"prompt": "a castle", "ddim_steps": "20", "seed": "7"}),
        ("a castle ——cfg-scale 5", {"prompt": "a castle", "scale": "5"}),
        ("a castle —plms", {"prompt": "a castle", "sampler": "plms"}),
        ("a house —old and — grey", {"prompt": "a house —old and — grey"}),
        ("a house —old --steps 3", {"prompt": "a house —old", "ddim_steps": "3"}),
        ("--prompt “a castle” --steps 3", {"prompt": "a castle", "ddim_steps": "3"}),
        (
            "--prompt ‘it’s a cat’ --negative_prompt „dark, —steps 3“",
            {"prompt": "it’s a cat", "negative_prompt": "dark, —steps 3"},
        ),
        ('--prompt "a sign “hello” —seed 3" --steps 3', {"prompt": "a sign “hello” —seed 3", "ddim_steps": "3"}),
        ("“a castle”", {"prompt": "“a castle”"}),
    ],
)
def test_the_dashes_and_quotes_of_a_word_processor_are_understood(line: str, given: dict[str, str]) -> None:
    assert parse_line(line) == given


def test_a_curly_quote_without_its_end_is_refused_with_its_line() -> None:
    with pytest.raises(PromptFileError, match=r"^Line 2: the quote “ has no end. Close it, or take it out.$"):
        read_prompt_file("a\n--prompt “a castle --steps 3".encode(), Job())


def test_texts_of_a_file_may_be_long_but_not_endless() -> None:
    (line,) = read_prompt_file(f"--prompt {'a' * 10_000} --negative_prompt {'b' * 10_000}".encode(), Job())
    assert (len(line.job.prompt), len(line.job.negative_prompt)) == (10_000, 10_000)
    with pytest.raises(PromptFileError, match=r"Line 1: Prompt is .* but must be a text of 1 to 10000 characters"):
        read_prompt_file(b"a" * 10_001, Job())


def test_a_schedule_type_of_its_own_belongs_to_the_sampler() -> None:
    lines = b"a --sampler_name 'DPM++ 2M' --scheduler Karras\nb --scheduler Automatic\nc --sampler euler_ancestral"
    assert [str(line.job.sampler) for line in read_prompt_file(lines, Job())] == ["dpmpp_2m_karras", "ddim", "euler_a"]
    with pytest.raises(PromptFileError, match=r"^Line 1: Sampler is 'ddim Karras', .* the nearest is ddim"):
        read_prompt_file(b"a --scheduler Karras", Job())


def test_a_seed_left_to_chance_is_drawn_once_for_the_run_and_for_each_line_that_asks() -> None:
    job = Job(n_iter=1, n_samples=2, seed=-1)
    assert [r.seed for r in image_requests(job, drawn_seed=7)] == [7, 8]
    lines = read_prompt_file(b"a\nb --seed -1 --batch_size 2\nc --seed -1\nd --seed 3\ne", job)
    seeds = [r.seed for r in image_requests(job, lines, drawn_seed=7)]
    assert (seeds[0], seeds[4:]) == (7, [3, 12])
    assert seeds[2] == seeds[1] + 1
    assert len({*seeds}) == 6
    assert seeds == [r.seed for r in image_requests(job, lines, drawn_seed=7)]
    assert seeds[3] != image_requests(job, lines, drawn_seed=8)[3].seed
    assert wants_drawn_seed(Job(), lines)
    assert not wants_drawn_seed(Job(), lines[3:4])
    with pytest.raises(ValueError, match="no seed was drawn"):
        image_requests(job)


def test_seeds_go_round_at_the_largest() -> None:
    assert [r.seed for r in image_requests(Job(n_iter=1, n_samples=2, seed=2**63 - 1))] == [2**63 - 1, 0]
