"""Draws scenes, many at a time, on whatever device torch has."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy
import torch
from torch.nn import functional

from demo_model.world.backdrops import HEIGHT, HORIZON, OVERLAYS, PLACES, SKYLESS, TIMES, VARIANTS, WIDTH, draw_layers
from demo_model.world.colours import COLOURS, Rgb
from demo_model.world.scene import Scene
from demo_model.world.sprites import EDGE, SMALL, load_atlas

MOST_BOXES = 3
# Colour of the paper where a scene has no place and no stated colour.
PAPER: Rgb = (250, 248, 242)

Columns = dict[str, torch.Tensor]


def tabulate(scenes: Sequence[Scene], seed: int) -> Columns:
    """The scenes, all of one size, as tensors with one row each, for `Renderer.draw`.

    `seed` decides the small things that no caption tells: the variant of a place, the shades of a colour.
    """
    random = Random(seed)  # noqa: S311
    rows = [_row(scene, random) for scene in scenes]
    return {name: torch.from_numpy(numpy.asarray([row[name] for row in rows])) for name in rows[0]}


def _row(scene: Scene, random: Random) -> dict[str, numpy.ndarray[tuple[int, ...], numpy.dtype[numpy.generic]]]:
    backdrop = scene.backdrop
    time = TIMES[backdrop.time]
    top, bottom, light = time.top, time.bottom, time.light
    if PLACES[backdrop.place] == "nowhere":
        top = bottom = PAPER if backdrop.colour is None else COLOURS[backdrop.colour].body
    if PLACES[backdrop.place] in SKYLESS:
        light = (1, 1, 1)
    shade = random.uniform(-0.03, 0.03)
    boxes = numpy.zeros((MOST_BOXES, 6), numpy.float32)
    boxes[:, 0] = -1
    for slot, (box, colour) in enumerate(zip(scene.boxes, scene.painted, strict=True)):
        boxes[slot] = (box.thing, box.x, box.y, box.width, box.height, -1 if colour is None else colour)
    sky = numpy.asarray([top, bottom], numpy.float32) / 255 + shade
    overlay = OVERLAYS.index(time.overlay)
    layers = (backdrop.place * VARIANTS + random.randrange(VARIANTS), overlay * VARIANTS + random.randrange(VARIANTS))
    shifts = (random.randint(0, WIDTH - scene.width), random.randint(0, WIDTH - scene.width))
    return {
        "boxes": boxes,
        "sky": sky.clip(0, 1),
        "light": numpy.asarray(light, numpy.float32),
        "layers": numpy.asarray(layers),
        "shifts": numpy.asarray(shifts),
    }


class Renderer:
    """Puts the things' pictures onto the places' ones."""

    def __init__(self, device: torch.device | str) -> None:
        self.device = torch.device(device)
        self._atlas = load_atlas().to(self.device)
        self._places = draw_layers(PLACES).to(self.device)
        self._overlays = draw_layers(OVERLAYS).to(self.device)
        ramps = [(colour.shadow, colour.body, colour.light) for colour in COLOURS]
        self._ramps = torch.tensor(ramps, dtype=torch.float32, device=self.device) / 255

    @torch.no_grad()
    def draw(self, table: Columns, width: int = 128, height: int = 128) -> torch.Tensor:
        """The pictures of the rows of `table`: float32, rows × 3 × height × width, in -1 to 1."""
        rows = {name: column.to(self.device) for name, column in table.items()}
        canvas = self._sky(rows["sky"], width, height)
        for layers, column, light in ((self._places, 0, rows["light"]), (self._overlays, 1, None)):
            layer = self._cut(layers, rows["layers"][:, column], rows["shifts"][:, column], width, height)
            colour, alpha = layer[:, :3], layer[:, 3:]
            canvas = canvas * (1 - alpha) + (colour if light is None else colour * light[:, :, None, None])
        for slot in range(MOST_BOXES):
            canvas = self._put(canvas, rows["boxes"][:, slot])
        return canvas.clamp(0, 1) * 2 - 1

    def _sky(self, sky: torch.Tensor, width: int, height: int) -> torch.Tensor:
        horizon = HORIZON - (HEIGHT - height)
        share = (torch.arange(height, device=self.device) / horizon).clamp(max=1)[None, None, :, None]
        top, bottom = sky[:, 0, :, None, None], sky[:, 1, :, None, None]
        return (top + (bottom - top) * share).expand(-1, -1, -1, width).contiguous()

    def _cut(
        self, layers: torch.Tensor, which: torch.Tensor, shift: torch.Tensor, width: int, height: int
    ) -> torch.Tensor:
        columns = shift[:, None] + torch.arange(width, device=self.device)
        columns = columns[:, None, None, :].expand(-1, 4, height, -1)
        return layers[which, :, HEIGHT - height :].gather(3, columns)

    def _put(self, canvas: torch.Tensor, box: torch.Tensor) -> torch.Tensor:
        # Empty slots are drawn like the others, without being seen: to pass over them, the GPU would have to be asked.
        thing, x, y, width, height, colour = box.unbind(1)
        present = (thing >= 0)[:, None, None, None]
        blurred = (torch.maximum(width, height) < SMALL).long()
        picture = self._atlas[blurred, thing.long().clamp(min=0)]
        width, height = width.clamp(min=1), height.clamp(min=1)
        size_y, size_x = canvas.shape[2:]
        across = (torch.arange(size_x, device=self.device) + 0.5)[None] - x[:, None]
        down = (torch.arange(size_y, device=self.device) + 0.5)[None] - y[:, None]
        # The picture's rim of one pixel lies outside the box.
        inside = (EDGE - 2) / EDGE
        grid = torch.stack(
            [
                (across * inside / (width[:, None] / 2))[:, None, :].expand(-1, size_y, -1),
                (down * inside / (height[:, None] / 2))[:, :, None].expand(-1, -1, size_x),
            ],
            dim=-1,
        )
        sampled = functional.grid_sample(picture, grid, align_corners=False)
        sampled = torch.where(present, sampled, 0)
        own, alpha, brightness = sampled[:, :3], sampled[:, 3:4], sampled[:, 4:]
        painted = self._paint(colour.long().clamp(min=0), brightness / alpha.clamp(min=1e-4)) * alpha
        drawn = torch.where((colour >= 0)[:, None, None, None], painted, own)
        return canvas * (1 - alpha) + drawn

    def _paint(self, colour: torch.Tensor, brightness: torch.Tensor) -> torch.Tensor:
        shadow, body, light = self._ramps[colour][..., None, None].unbind(1)
        low = (brightness * 2).clamp(0, 1)
        high = (brightness * 2 - 1).clamp(0, 1)
        return shadow + (body - shadow) * low + (light - body) * high
