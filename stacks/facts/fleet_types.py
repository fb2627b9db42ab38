"""The instance types that a fleet may use, and which of them a model fits."""

from __future__ import annotations

from collections.abc import Sequence

from stacks.facts.instance_types import INSTANCE_TYPES
from stacks.facts.model_refusal import AS_USUAL, Ways, too_new_for_the_original
from userdata.contract.catalogue import Model
from userdata.contract.compvis import COMPVIS

# In the order in which on-demand machines are tried: G6 is had where G5 is sold out, and costs less an hour. Larger
# sizes are further pools of the same cards; the L40S is for models that no smaller card holds, the T4 comes last.
USUAL_TYPES = ["g6.xlarge", "g6.2xlarge", "g5.xlarge", "g5.2xlarge", "g6e.xlarge", "g4dn.xlarge"]


def fitting_types(types: Sequence[str], model: Model, *, ways: Ways = AS_USUAL, engine: str = "diffusers") -> list[str]:
    """Those of `types` whose card holds `model`, in its numbers, and that `engine` runs on, in their order.

    A fleet leaves the others out. A type that is not in the table of types fits, and so does somebody's own model,
    whose need of memory only a machine can tell.
    """
    too_new = too_new_for_the_original() if engine == COMPVIS else []
    known = {name: INSTANCE_TYPES.get(name) for name in types}
    return [name for name, one in known.items() if name not in too_new and (one is None or ways.fit(model, one.gpu))]
