"""`--at`: when a batch is released."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from scripts.command_line.terminal.command_error import CommandError

# As long as SQS keeps the messages that are sent then.
MOST_AHEAD = timedelta(days=7)
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


def read_time(text: str, now: datetime) -> datetime:
    """The time that `text` says: the next such time of day, or a date with a time, here where no zone is given.

    `now` is in the time zone of this computer. Raises `CommandError`, for misuse, for what is no such time.
    """
    if clock := _CLOCK.fullmatch(text):
        wall = now.replace(tzinfo=None, hour=int(clock[1]), minute=int(clock[2]), second=0, microsecond=0)
        times = [*_here(wall, now), *_here(wall + timedelta(days=1), now)]
        return next(one for one in times if _ahead(one, now) > timedelta())
    try:
        if ":" not in text:  # a date alone would be read as its midnight
            raise ValueError
        found = datetime.fromisoformat(text)
        found = found if found.tzinfo else _here(found, now)[0]
        time_in_words(found)
    except (ValueError, OverflowError):  # also a year that begins or ends in another zone
        raise CommandError(
            f"--at is {text[:40]!r}, but must be a time, for example 02:00 or 2026-12-01T02:00+01:00.", exit_status=2
        ) from None
    ahead = _ahead(found, now)
    if not timedelta() < ahead <= MOST_AHEAD:
        why = "past" if ahead <= timedelta() else f"more than {MOST_AHEAD.days} days ahead"
        raise CommandError(
            f"--at is {time_in_words(found)}, which is {why}. Give one within {MOST_AHEAD.days} days.", exit_status=2
        )
    return found


def _ahead(found: datetime, now: datetime) -> timedelta:
    """How long it is until then. Two times of one zone would be compared by the clock on the wall."""
    return found.astimezone(UTC) - now.astimezone(UTC)


def _here(wall: datetime, now: datetime) -> list[datetime]:
    """When a clock on the wall here shows that: twice in the night that summer time ends.

    Where summer time begins, no clock shows an hour of it: then it is an hour later.
    """
    # A time zone with a name knows its summer time; an offset alone is only that of now.
    zone = now.tzinfo if hasattr(now.tzinfo, "key") else None
    times = {wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    here = [time.astimezone(zone) for time in sorted(times)]
    return [one for one in here if (one.hour, one.minute) == (wall.hour, wall.minute)] or here[-1:]


def time_in_words(when: datetime) -> str:
    """`2026-12-01 02:00 (UTC+01:00), which is 01:00 UTC`."""
    return f"{when:%Y-%m-%d %H:%M} (UTC{when.isoformat()[-6:]}), which is {when.astimezone(UTC):%H:%M} UTC"
