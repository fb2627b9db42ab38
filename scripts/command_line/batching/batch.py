"""`sd batch`: from a person's file to a batch that machines draw. Until its last question, nothing is written."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from contextlib import closing, nullcontext
from datetime import UTC, datetime

import boto3
from rich.console import Console

from scripts.command_line.account.deployment import RETRIES, Deployment
from scripts.command_line.account.identity import find_caller, tell_identity
from scripts.command_line.account.instance import NoCapacityError
from scripts.command_line.account.others import wait_for_others
from scripts.command_line.account.runs import Run
from scripts.command_line.batches.control import raise_limit
from scripts.command_line.batches.find import look_at
from scripts.command_line.batches.look import Looker
from scripts.command_line.batches.next_commands import print_next
from scripts.command_line.batches.progress import Progress
from scripts.command_line.batches.show import batch_document
from scripts.command_line.batches.start import dollars_left
from scripts.command_line.batching.cut import cut_into_parts
from scripts.command_line.batching.hand_in import Bucket, Standing, release
from scripts.command_line.batching.plan import Planned, disk_errors_in_words, plan_batch, refuse_changed
from scripts.command_line.batching.sample import follow_sample
from scripts.command_line.batching.spool import Spool
from scripts.command_line.batching.standing import refuse_second_plan, refuse_stopped
from scripts.command_line.batching.when import time_in_words
from scripts.command_line.batching.wish import Wish
from scripts.command_line.deploying.inputs import upload_inputs
from scripts.command_line.fleet.at import cancel_release, release_at
from scripts.command_line.fleet.start import start_machines
from scripts.command_line.fleet.ways import chosen_of, find_ways, print_ways
from scripts.command_line.generating.machine import need_queue
from scripts.command_line.results.fetch_results import fetch_runs
from scripts.command_line.results.written import need_writable
from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.json_option import print_document
from scripts.command_line.terminal.plain_text import in_shell, print_plain
from scripts.command_line.terminal.question import ask
from scripts.command_line.terminal.typed_options import repeat_typed, with_typed
from scripts.interruption.signals import when_interrupted
from userdata.batch.documents import Batch
from userdata.contract.work import Release
from userdata.fleet.decision import Way

QUEUE = "BatchQueue"


def batch(
    session: boto3.Session, *, stack: str, wish: Wish, given: Mapping[str, str], console: Console, as_json: bool = False
) -> None:
    """Draws the rows of a file as `wish` says. `given` are the options of all images, by the parameters' names.

    The same file with the same options is the same batch: what is missing of it is released. `as_json` prints a
    document of how far it is. Raises `CommandError`.
    """
    if wish.sample is not None:
        need_writable(wish.fetch_to)
    tell_identity(session, stack)
    deployment, _ = need_queue(session, stack)
    if deployment.is_changing:
        wait_for_others(session, stack, console)
        deployment, _ = need_queue(session, stack)
    command = _Command(session, deployment, wish, console)
    with disk_errors_in_words(), closing(Spool()) as spool:
        with console.status(f"Reads {wish.title}") if console.is_terminal else nullcontext():
            planned = plan_batch(session, deployment, command.bucket, wish, given, spool)
        for sentence in planned.told:
            command.say(sentence)
        if command.draw(planned):
            command.tell_next(planned.run_id)
    if as_json:
        run = Run(planned.run_id, None)
        print_document(batch_document(look_at(session, deployment, run)))


class _Command:
    """One call of `sd batch`, on the stack that stands."""

    def __init__(self, session: boto3.Session, deployment: Deployment, wish: Wish, console: Console) -> None:
        self.session, self.deployment, self.wish, self.console = session, deployment, wish, console
        self.bucket = Bucket(session.client("s3", config=RETRIES), deployment.bucket)

    def say(self, sentence: str) -> None:
        print_plain(repeat_typed(sentence, sys.argv[1:]), self.console, soft_wrap=True)

    def tell_next(self, run_id: str) -> None:
        self.say("What next:")
        for words in (["watch", run_id], ["pause", run_id], ["results", run_id, "--zip"]):
            self.say(f"  {with_typed(in_shell(['sd', *words]), sys.argv[1:])}")

    def draw(self, planned: Planned) -> bool:
        """Shows what it costs, asks, hands the batch in, and lets machines draw it. False where all is drawn."""
        standing = None if self.wish.add else planned.standing
        images = planned.spool.images
        progress = Looker(self.bucket.s3, self.bucket.name, planned.run_id).look() if planned.standing else None
        if standing and progress:
            images = self._tell_standing(planned, standing, progress)
            if not images:
                return False
        refuse_stopped(planned, self.wish)
        if self.wish.at and self.wish.add:
            refuse_second_plan(self.session, self.deployment, planned.run_id)
        limit = self._limit(planned)
        weight = max(1, planned.weight * images // planned.spool.images)
        ways = find_ways(
            self.session,
            self.deployment,
            planned.plan,
            weight,
            max_usd=dollars_left(progress, limit),
            machines=self.wish.machines,
        )
        print_ways(ways, self.console)
        self._ask(planned.run_id, images)
        way = chosen_of(ways)
        with when_interrupted(lambda: _not_released(planned.run_id)):
            refuse_changed(planned.jobs.files)
            upload_inputs(self.session, self.deployment.bucket, {}, planned.jobs.files)
            parts = self._hand_in(planned, standing, ways, limit)
        with when_interrupted(lambda: _goes_on(planned.run_id)):
            if standing and not self.wish.at:
                # What was planned would start machines for a batch that is drawn by then.
                cancel_release(self.session, self.deployment, planned.run_id)
            if self.wish.sample is not None and len(parts) > 1:
                parts = self._draw_sample(planned.run_id, way)
            self._release(planned.run_id, parts, way)
        return True

    def _tell_standing(self, planned: Planned, standing: Standing, progress: Progress) -> int:
        """Says that the batch is there already, and how many of its images are not drawn, which it returns.

        Raises `CommandError` where they are not to be drawn, before it says that they are.
        """
        batch = standing.batch
        images = batch.images - progress.images_done
        if images:
            refuse_stopped(planned, self.wish)
            when = "then" if self.wish.at else "now"
            self.say(
                f"Batch {batch.run_id} is there already, since {batch.asked_at:%Y-%m-%d %H:%M} UTC, by {batch.by}. "
                f"About {images:,} of its {batch.images:,} images are missing, and are drawn {when}."
            )
        else:
            self.say(f"Batch {batch.run_id} is drawn already, all {batch.images:,} images. For others: --run-id NAME.")
            print_next(progress, self.console)
        return images

    def _ask(self, run_id: str, images: int) -> None:
        sample = self.wish.sample
        first = f", {sample:,} of them first" if sample is not None and sample < images else ""
        when = f" at {time_in_words(self.wish.at)}" if self.wish.at else ""
        question = f"Draw {images:,} {'image' if images == 1 else 'images'}{first} as {run_id}{when}?"
        if self.wish.yes:
            self.say(question.replace("?", "."))
        elif not ask(question, otherwise="Nothing was queued"):
            raise CommandError("Nothing was queued.")
        if self.wish.at and self.wish.at <= datetime.now(UTC):
            raise CommandError(
                f"It is past {time_in_words(self.wish.at)} by now. Nothing was queued. Give a later --at."
            )

    def _limit(self, planned: Planned) -> float | None:
        """The new limit of dollars, None for none: of a new batch it is the deployed one unless another is given."""
        deployed = planned.plan.machine.max_spend
        if self.wish.max_usd is not None or planned.standing or not deployed:
            return self.wish.max_usd
        self.say(f"All machines together may cost ${deployed:g}, as deployed (MaxSpend); --max-usd says otherwise.")
        return deployed

    def _hand_in(
        self, planned: Planned, standing: Standing | None, ways: list[Way], max_usd: float | None
    ) -> list[int]:
        """Writes what is not there yet. Returns the numbers of the parts to release."""
        if standing:
            if max_usd is not None:
                raise_limit(self.bucket.s3, self.bucket.name, planned.run_id, max_usd)
            return list(range(len(standing.batch.parts)))
        parts = cut_into_parts(planned.spool, ways, self.wish.sample)
        if planned.standing:
            return [len(self.bucket.add_part(planned.standing, parts[0], max_usd).parts) - 1]
        for number, written in enumerate(parts):
            self.bucket.put_units(planned.run_id, number, written)
        document = Batch(
            run_id=planned.run_id,
            title=planned.title,
            by=find_caller(self.session),
            asked_at=datetime.now(UTC),
            model=", ".join(planned.spool.models())[:2000],
            parts=[written.part for written in parts],
            max_usd=max_usd,
        )
        self.bucket.put_batch(document, None)
        return list(range(len(parts)))

    def _draw_sample(self, run_id: str, way: Way) -> list[int]:
        """Draws part 0, downloads it and asks. Returns the parts that are left to release."""
        standing = self.bucket.find(run_id)
        assert standing
        # The rest may never be drawn: no more machines than the sample has units.
        few = dataclasses.replace(way, machines=min(way.machines, standing.batch.parts[0].units))
        self._release(run_id, [0], few)
        follow_sample(self.session, self.deployment, self.bucket, standing.batch, self.console)
        fetch_runs(
            self.bucket.s3,
            self.bucket.name,
            [Run(run_id, None, batch=standing.batch)],
            self.wish.fetch_to,
            self.console,
        )
        others = sum(part.images for part in standing.batch.parts[1:])
        later = f"The rest of {run_id} was not released"
        if not self.wish.yes and not ask(f"Go on with the other {others:,} images?", otherwise=later):
            raise CommandError(f"{later}. The same command without --sample releases it.")
        return [*range(1, len(standing.batch.parts))]

    def _release(self, run_id: str, parts: list[int], way: Way) -> None:
        if self.wish.at:
            body = Release(run_id, parts[0]).to_body()
            release_at(self.session, self.deployment, body, way, self.wish.at, yes=self.wish.yes)
            self.say(f"Batch {run_id} begins at {time_in_words(self.wish.at)}; no computer of yours must be on then.")
            return
        try:
            for part in parts:
                release(self.session.client("sqs", config=RETRIES), self.deployment.outputs[QUEUE], run_id, part)
            start_machines(self.session, self.deployment, way, self.console, yes=self.wish.yes)
        except NoCapacityError as refused:
            raise CommandError(f"{refused} Batch {run_id} waits in the queue until then.") from refused
        except CommandError as refused:
            raise CommandError(f"{refused} Batch {run_id} is handed in: `sd resume {run_id}` draws it.") from refused


def _not_released(run_id: str) -> str:
    return (
        f"Interrupted before batch {run_id} was released: nothing draws it. If `sd watch {run_id}` shows the images, "
        f"`sd resume {run_id}` draws them; else give the same command again."
    )


def _goes_on(run_id: str) -> str:
    return (
        f"Interrupted, but what was released of batch {run_id} is drawn. `sd watch {run_id}` looks, "
        f"`sd pause {run_id}` stops it, and `sd resume {run_id}` releases what is missing."
    )
