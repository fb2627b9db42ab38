"""Merges LoRAs, small changes to a model's weights, into the model before it draws.

The change of a weight is that of all LoRAs together, each computed from the model's own weight, so that their order
does not matter. It is computed in single precision and rounded once.
"""

from __future__ import annotations

import logging
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
import torch
from diffusers import DiffusionPipeline
from torch import Tensor

from userdata.bill.units import GIB
from userdata.job.image_request import ImageRequest
from userdata.job.run_error import RunError
from userdata.worker.model.lora_file import Layer, Weights, check_names, is_finite, open_lora, read_lora
from userdata.worker.model.lora_formulas import change_of
from userdata.worker.model.lora_keys import parameters_of

logger = logging.getLogger(__name__)
# Of the machine's free memory, what the model's own weights may take.
OF_FREE_MEMORY = 0.8


def check_lora(file: Path) -> None:
    """Raises `RunError` when the file is no LoRA. Quick, because it looks at the tensors' names only."""
    tensors, _ = open_lora(file)
    check_names(file.name, tensors)


def want_different_loras(requests: Sequence[ImageRequest]) -> bool:
    """Whether not all of the images can be drawn with the same LoRAs."""
    return any(request.loras != requests[0].loras for request in requests)


class Loras:
    """The LoRAs of a run for `pipeline`, by the names under which images ask for them.

    With `restorable`, the weights that they change are kept as they were, in the machine's memory, so that images of
    one run may ask for different LoRAs. With `restorable_if_room` so are they where that memory suffices, so that the
    next run can have the model's own. Raises `RunError` for a file that does not fit the model, that holds what is no
    number, or that changes nothing, and when that memory does not suffice.
    """

    def __init__(
        self,
        pipeline: DiffusionPipeline,
        files: Mapping[str, Path],
        *,
        restorable: bool,
        restorable_if_room: bool = False,
    ) -> None:
        self._components = pipeline.components
        self._titles = {name: file.name for name, file in files.items()}
        self._layers = {name: read_lora(file, self._components) for name, file in files.items()}
        self.restorable = restorable or (restorable_if_room and self._needed() <= self._room())
        self._applied: dict[str, float] = {}
        self._own: dict[Weights, list[Tensor]] = {}
        if restorable:
            self._check_memory()

    def would_change(self, weights: Mapping[str, float]) -> bool:
        """Whether `apply` would change anything."""
        return self._wanted(weights) != self._applied

    @torch.no_grad()
    def apply(self, weights: Mapping[str, float]) -> None:
        """Makes each weight of the model its own plus the LoRAs' changes times `weights`; one that is not given is 0.

        In place, so that whoever holds a weight sees the new one. What was computed from weights, as fused kernels and
        remembered texts are, must be computed anew. Raises `RunError` when a weight becomes larger than the model's
        type can hold, and `ValueError` for a second set of LoRAs without `restorable`.
        """
        if not self.would_change(weights):
            return
        wanted = self._wanted(weights)
        self._restore()
        told = {name: _Told() for name in wanted}
        changes: defaultdict[Weights, list[tuple[float, Layer, _Told]]] = defaultdict(list)
        for name, weight in wanted.items():
            for layer in self._layers[name]:
                changes[layer.weights].append((weight, layer, told[name]))
        for weights_together, of_them in changes.items():
            self._merge(weights_together, of_them)
        self._applied = wanted
        for name, weight in wanted.items():
            logger.info("Merged %s with weight %g into %s", self._titles[name], weight, told[name])

    def _merge(self, place: Weights, changes: Sequence[tuple[float, Layer, _Told]]) -> None:
        parameters = parameters_of(self._components, *place)
        if self.restorable and place not in self._own:
            self._own[place] = [parameter.detach().to("cpu", copy=True) for parameter in parameters]
        own = [parameter.float() for parameter in parameters]
        sums = [one.clone() for one in own]
        for weight, layer, told in changes:
            which = slice(None) if layer.place.only is None else slice(layer.place.only, layer.place.only + 1)
            before = torch.cat(own[which])
            change = weight * _change(layer, before)
            told.add(layer, change, before)
            for one, part in zip(sums[which], torch.split(change, [len(one) for one in sums[which]]), strict=True):
                one += part
        for parameter, merged in zip(parameters, sums, strict=True):
            parameter.copy_(merged)
            if not is_finite(parameter):
                names = ", ".join(sorted({layer.name for _, layer, _ in changes}))
                raise RunError(
                    f"The LoRAs make the model's weights larger than its number type can hold, at {names}. Give the "
                    "Lora a smaller weight, or deploy with Precision=full."
                )

    def _restore(self) -> None:
        if self._applied and not self.restorable:
            raise ValueError("these LoRAs can be applied once only")
        for place, own in self._own.items():
            for parameter, before in zip(parameters_of(self._components, *place), own, strict=True):
                parameter.copy_(before)

    def _wanted(self, weights: Mapping[str, float]) -> dict[str, float]:
        return {name: weight for name, weight in weights.items() if weight}

    def _needed(self) -> int:
        """The bytes of the weights that are changed."""
        places = {layer.weights for layers in self._layers.values() for layer in layers}
        return sum(one.nbytes for place in places for one in parameters_of(self._components, *place))

    def _room(self) -> float:
        return float(psutil.virtual_memory().available) * OF_FREE_MEMORY

    def _check_memory(self) -> None:
        needed, room = self._needed(), self._room()
        if needed > room:
            raise RunError(
                f"The run's images want different LoRAs, for which {needed / GIB:.1f} GiB of weights must be kept as "
                f"they were, but {room / OF_FREE_MEMORY / GIB:.1f} GiB of the machine's memory are free. Deploy again "
                "with an InstanceType that has more, or with the same LoRAs for all images."
            )


class _Told:
    """What a LoRA has changed, in words."""

    def __init__(self) -> None:
        self._layers: Counter[str] = Counter()
        self._changed = self._own = 0.0

    def add(self, layer: Layer, change: Tensor, own: Tensor) -> None:
        self._layers[layer.place.component] += 1
        self._changed += float(change.square().sum())
        self._own += float(own.square().sum())

    def __str__(self) -> str:
        layers = ", ".join(f"{count} layers of {component}" for component, count in self._layers.items())
        share = math.sqrt(self._changed / self._own) if self._own else math.inf
        return f"{layers}: it changes their weights by {100 * share:.3g} % of their norm"


def _change(layer: Layer, own: Tensor) -> Tensor:
    parts = {name: part.to(own.device) for name, part in layer.parts.items()}
    return change_of(parts, own, scale=layer.scale)
