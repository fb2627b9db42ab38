"""Leaves out libraries that diffusers and transformers import with any model, and that no run uses.

What is left out stays left out until the process ends. Nothing here changes what is computed. Rejected: an environment
without these libraries, because they are parts of torch.

Measured (docs/performance.md): without the compiler and distributed tensors, and with transformers' index
(transformers_index.py), the imports of a short job took 1.6 s in place of 3.0 s on two cores. This rests on the innards
of torch, diffusers and transformers. At an upgrade of one of them run
tests/unit/worker/process/test_unused_libraries.py: where a test fails and the mend is not plain, strike the function
and its line in imports_ahead.py. The worker then starts later by these seconds, and everything else stays as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

COMPILER = "torch._dynamo"
# What transformers imports of it to draw masks, which needs nothing of the rest.
PART_WITHOUT_THE_WHOLE = f"{COMPILER}._trace_wrapped_higher_order_op"


def leave_out_distributed() -> None:
    """Makes the libraries that are imported from now on take torch for a build for a single device.

    A run is drawn on one GPU. Otherwise transformers imports distributed tensors, and sympy with them.
    """
    import torch.distributed

    torch.distributed.is_available = lambda: False


def leave_out_compiler() -> None:
    """Puts a stand-in in the place of torch's compiler, unless the compiler is imported already.

    diffusers and transformers import the compiler to mark their functions for it, with any model, and nothing of a run
    is compiled by it (docs/performance.md says why). Code that needs the compiler after all gets it, only later.

    Rejected: None in `sys.modules`, Python's own way to say that there is no such module: torch itself and transformers
    import it unguarded.
    """
    if COMPILER not in sys.modules:
        sys.modules[COMPILER] = _NoCompiler()
        sys.meta_path.insert(0, _CompilersParts())


class _NoCompiler(ModuleType):
    """A stand-in that leaves the functions that it marks as they are, and gives way to the compiler where needed."""

    def __init__(self) -> None:
        import torch

        super().__init__(COMPILER)
        self.__path__ = [str(Path(torch.__file__).parent / "_dynamo")]
        self.allow_in_graph = self.assume_constant_result = self.disable = _unchanged
        self.eval_frame = SimpleNamespace(OptimizedModule=_CompiledModule)

    def __getattr__(self, name: str) -> Any:
        # What Python's import system asks of any module.
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(_the_compiler(), name)


class _CompilersParts(MetaPathFinder, Loader):
    """Imports the whole compiler before one of its parts, except for the part that needs nothing of the rest."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(f"{COMPILER}.") or fullname == PART_WITHOUT_THE_WHOLE:
            return None
        if not isinstance(sys.modules.get(COMPILER), _NoCompiler):
            return None
        _the_compiler()
        return spec_from_loader(fullname, self) if fullname in sys.modules else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return sys.modules[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        """It has been executed with the whole."""


def _the_compiler() -> ModuleType:
    if isinstance(sys.modules.get(COMPILER), _NoCompiler):
        del sys.modules[COMPILER]
    return import_module(COMPILER)


class _CompiledModule:
    """A class without instances."""


def _unchanged(function: Any = None, *_args: Any, **_options: Any) -> Any:
    """A decorator without effect, which can be used with options and without."""
    if function is not None:
        return function

    def decorate(decorated: Callable[..., Any]) -> Callable[..., Any]:
        return decorated

    return decorate
