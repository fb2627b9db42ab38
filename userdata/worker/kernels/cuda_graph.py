"""Runs a network as a CUDA graph: recorded once, then started with one call instead of some two thousand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch


class GraphedForward:
    """Stands in for a module's `forward`.

    Each call with a new signature (shapes and types of the tensors, values of everything else) is computed plainly, and
    recorded; the next call with that signature copies its tensors into the recorded ones and replays. The same kernels
    run on the same numbers, so that the results are those of the plain call, bit for bit. One recording is kept: a call
    with another signature replaces it, and its memory; with `keep`, so many recordings are kept, and the oldest is
    replaced. A call with tensors outside the GPU runs plainly.

    Rejected: `torch.cuda.make_graphed_callables`, which takes tensors only, and needs all of them beforehand.
    """

    def __init__(self, forward: Callable[..., Any], *, keep: int = 1) -> None:
        self._forward = forward
        self._keep = keep
        self._recordings: dict[object, _Recording] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What `forward` returns. The tensors in the result are the caller's own."""
        tensors: list[torch.Tensor] = []
        signature = _signature((args, kwargs), tensors)
        if not tensors or not all(tensor.is_cuda for tensor in tensors):
            return self._forward(*args, **kwargs)
        if signature not in self._recordings:
            while len(self._recordings) >= self._keep:
                del self._recordings[next(iter(self._recordings))]
            self._recordings[signature] = _Recording(self._forward, args, kwargs)
        return self._recordings[signature].replay(tensors)

    def release(self) -> None:
        """Gives the memory of the recordings back to the allocator."""
        self._recordings.clear()


class _Recording:
    def __init__(self, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        own_args, own_kwargs = _map((args, kwargs), torch.clone)
        self._inputs: list[torch.Tensor] = []
        _signature((own_args, own_kwargs), self._inputs)
        stream = _stream()
        stream.wait_stream(torch.cuda.current_stream())
        # A plain run sets up the handles and workspaces of cuDNN and cuBLAS, which a recording must not do. Its result
        # is that of the call for which this is recorded. Rejected: a second such run, which changes nothing and takes
        # a large batch as long as a step.
        with torch.cuda.stream(stream):
            first = forward(*own_args, **own_kwargs)
        torch.cuda.current_stream().wait_stream(stream)
        self._first: Any = _map(first, torch.clone)
        del first
        self._graph = torch.cuda.CUDAGraph()
        # Only this thread's calls belong to the recording: other threads copy pixels and check images meanwhile.
        with torch.cuda.graph(self._graph, stream=stream, capture_error_mode="thread_local"):
            self._output = forward(*own_args, **own_kwargs)

    def replay(self, tensors: list[torch.Tensor]) -> Any:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        for own, given in zip(self._inputs, tensors, strict=True):
            own.copy_(given, non_blocking=True)
        self._graph.replay()
        # Cloned, because the next replay overwrites the output, and multistep samplers keep earlier outputs.
        return _map(self._output, torch.clone)


@cache
def _stream() -> torch.cuda.Stream:
    """The stream of all recordings, of which only one is replayed at a time.

    cuBLAS keeps 33 MiB for each stream that it was used on, for good: a new stream for each recording took 1 GiB from a
    process that drew with thirty of them.
    """
    return torch.cuda.Stream()  # type: ignore[no-untyped-call]


@contextmanager
def graphed(module: torch.nn.Module, *, keep: int = 1) -> Iterator[GraphedForward]:
    """While this is open, `module` runs as a CUDA graph; for `keep` see `GraphedForward`."""
    plain = module.forward
    graph = GraphedForward(plain, keep=keep)
    module.forward = graph
    try:
        yield graph
    finally:
        module.forward = plain
        graph.release()


def _signature(value: Any, tensors: list[torch.Tensor]) -> object:
    """A hashable description of `value`, whose tensors are appended to `tensors` in their order."""
    if isinstance(value, torch.Tensor):
        tensors.append(value)
        return (tuple(value.shape), value.stride(), value.dtype, value.device)
    if isinstance(value, dict):
        return tuple((name, _signature(part, tensors)) for name, part in value.items())
    if isinstance(value, list | tuple):
        return tuple(_signature(part, tensors) for part in value)
    return value


def _map(value: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """`value` with every tensor in it replaced by what `change` makes of it."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, dict):
        parts = {name: _map(part, change) for name, part in value.items()}
        return parts if type(value) is dict else type(value)(**parts)  # what transformers' networks return
    if isinstance(value, list | tuple):
        return type(value)(_map(part, change) for part in value)
    return value
