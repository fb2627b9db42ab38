"""Works on resources in the order of their dependencies, and side by side on those that have none between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait


def side_by_side(
    names: Iterable[str],
    after: Mapping[str, Iterable[str]],
    work: Callable[[str], None],
    *,
    takes_long: Callable[[str], bool],
    goes_on: bool,
) -> None:
    """Calls `work` for each name, as soon as it has returned for those of the `names` that `after` tells for it.

    Whatever `takes_long` runs in a thread of its own. All else is done one after the other meanwhile, in the order of
    the names, because moto is not made for many threads at once.

    After a failure nothing new begins; with `goes_on`, all begins that does not come after what failed. Raises the
    first failure, once nothing runs any more.
    """
    waiting = list(names)
    undone, running, failures = set(waiting), dict[Future[None], str](), list[BaseException]()

    def finish(name: str, failure: BaseException | None) -> None:
        if failure:
            failures.append(failure)
        else:
            undone.remove(name)

    with ThreadPoolExecutor() as pool:
        while True:
            stopped = failures and not goes_on
            ready = [] if stopped else [name for name in waiting if undone.isdisjoint(after.get(name, ()))]
            for name in filter(takes_long, ready):
                running[pool.submit(work, name)] = name
            short = next((name for name in ready if not takes_long(name)), None)
            waiting = [name for name in waiting if name not in running.values() and name != short]
            if short is not None:
                finish(short, _failure(work, short))
            elif running:
                wait(running, return_when=FIRST_COMPLETED)
            else:
                break
            for future in [one for one in running if one.done()]:
                finish(running.pop(future), future.exception())
    if failures:
        raise failures[0]


def _failure(work: Callable[[str], None], name: str) -> Exception | None:
    try:
        work(name)
    except Exception as error:  # noqa: BLE001  # whatever it is, the caller gets it in the end
        return error
    return None
