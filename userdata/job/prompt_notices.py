"""What a prompt has that other programs would read, and this one takes as words: told before anything is drawn."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from userdata.job.job import Job
from userdata.job.prompt_loras import split_loras
from userdata.job.prompt_syntax import is_open, is_plain

MOST_SHOWN = 5
MOST_NOTICES = 5
# AUTOMATIC1111's composition, alternation and editing; its dynamic prompts' variants and wildcards; other networks.
_NOT_READ = re.compile(
    r"\bAND\b"
    r"|\[[^\[\]|]*\|[^\[\]]*\]"
    r"|\[[^\[\]]*:\s*(?:[0-9]*\.)?[0-9]+\s*\]"
    r"|\{[^{}|]*\|[^{}]*\}"
    r"|__[A-Za-z0-9_/*-]+?__"
    r"|<[A-Za-z]+:[^<>]*>"
)


def prompt_notices(texts: Iterable[tuple[str, str]], *, weighed: bool) -> list[str]:
    """A sentence for each text that has syntax which is not read. `texts` are pairs of a parameter's name and a text.

    `weighed` says whether brackets are weights, which they are for `Job.weighs_words`.
    """
    notices = [notice for name, text in dict.fromkeys(texts) if (notice := _notice(name, text, weighed=weighed))]
    more = len(notices) - MOST_NOTICES
    return notices[:MOST_NOTICES] + ([f"{more} more texts have such words."] if more > 0 else [])


def job_notices(jobs: Sequence[Job]) -> list[str]:
    """The notices of one job's texts, or of those of a prompt file's lines.

    Rejected: to refuse a negative prompt without guidance, because other programs take it, so that it is in jobs and
    records that were drawn with it.
    """
    texts: list[tuple[str, str]] = []
    for job in jobs:
        prompt, _ = split_loras(job.prompt, job.negative_prompt, job.lora)
        texts += [("Prompt", prompt), ("NegativePrompt", job.negative_prompt)]
    unread = {f"{job.scale:g}" for job in jobs if job.negative_prompt.strip() and job.scale <= 1}
    return prompt_notices(texts, weighed=all(job.weighs_words for job in jobs)) + [
        f"NegativePrompt is not read, because GuidanceScale {scale} is without guidance: leave it out, or choose more "
        "than 1."
        for scale in sorted(unread)
    ]


def _notice(name: str, text: str, *, weighed: bool) -> str | None:
    found = list(dict.fromkeys(match[0] for match in _NOT_READ.finditer(text)))
    if found:
        shown = ", ".join(found[:MOST_SHOWN]) + ("…" if len(found) > MOST_SHOWN else "")
        return f"{name} has {shown}: other programs would compose, choose or replace, but the model reads it as words."
    if not weighed and not is_plain(text):
        return f"{name} has brackets or BREAK, which this model or engine reads as words: nothing is weighed."
    if weighed and is_open(text):
        return f"{name} has a bracket without its end, which weighs all that follows it: write \\( where it is text."
    return None
