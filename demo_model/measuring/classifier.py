"""The judge: looks at a picture and says which things are in it, how they stand to each other, and their colours."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from demo_model.world.backdrops import PLACES, TIMES
from demo_model.world.colours import COLOURS
from demo_model.world.labels import OWN_COLOUR, SEEN_RELATIONS
from demo_model.world.things import THINGS

WIDTH = 192
GRID = 16


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.two = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm_one, self.norm_two = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)
        self.skip = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        inner = functional.relu(self.norm_one(self.one(values)))
        return functional.relu(self.norm_two(self.two(inner)) + self.skip(values))


class Classifier(nn.Module):
    """A small residual network for pictures of 128 × 128 pixels, trained on composed scenes only."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(3, 32, 5, 2, 2, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            _Block(32, 64, 2),
            _Block(64, 128, 2),
            _Block(128, WIDTH, 1),
            _Block(WIDTH, WIDTH, 1),
        )
        self.seen = nn.Conv2d(WIDTH, len(THINGS), 1)
        # Few of the things are in a picture.
        assert self.seen.bias is not None
        nn.init.constant_(self.seen.bias, -6.0)
        self.relation = nn.Sequential(
            nn.Linear(2 * (WIDTH + GRID * GRID), 256), nn.ReLU(), nn.Linear(256, len(SEEN_RELATIONS))
        )
        self.colour = nn.Sequential(nn.Linear(WIDTH, 128), nn.ReLU(), nn.Linear(128, OWN_COLOUR + 1))
        self.count = nn.Sequential(nn.Linear(2 * GRID * GRID, 128), nn.ReLU(), nn.Linear(128, 3))
        self.backdrop = nn.Linear(2 * WIDTH, len(COLOURS))
        self.place = nn.Linear(2 * WIDTH, len(PLACES))
        self.time = nn.Linear(2 * WIDTH, len(TIMES))

    def forward(self, picture: torch.Tensor, things: torch.Tensor) -> dict[str, torch.Tensor]:
        """Logits for `picture` (batch × 3 × 128 × 128, -1 to 1), asked about the two `things` (batch × 2, indices).

        `things`: batch × all things; `relation`: of the first to the second one; `colours`: batch × 2 × colours, the
        last of which is the thing's own; `count`: one, two or three of the first; `backdrop`, `place`, `time`.
        """
        features = self.trunk(picture)
        maps = self.seen(features)
        asked = maps.gather(1, things[:, :, None, None].expand(-1, -1, GRID, GRID)).flatten(2)
        where = asked.softmax(-1)
        looked = torch.einsum("bqp,bcp->bqc", where, features.flatten(2))
        whole = torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1)
        return {
            "things": maps.flatten(2).amax(2),
            "relation": self.relation(torch.cat([looked.flatten(1), where.flatten(1)], 1)),
            "colours": self.colour(looked),
            "count": self.count(torch.cat([where[:, 0], asked[:, 0].sigmoid()], 1)),
            "backdrop": self.backdrop(whole),
            "place": self.place(whole),
            "time": self.time(whole),
        }
