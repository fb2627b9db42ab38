"""Where the files of the bundle lie."""

from __future__ import annotations

from pathlib import Path


class Bundle:
    """The files of one bundle, the folder `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.catalogue = root / "models.json"
        self.safety_checker = root / "safety-checker.json"
        self.prices = root / "prices.json"
        # A folder for each layout and for each model in the box.
        self.models = root / "models"
        self.tokenizer = self.models / "stable-diffusion-v1/tokenizer"
        # A module that nothing but the worker runs: of others, the boot's Python may have written the bytecode.
        self.worker = root / "worker/__main__.py"
        # Makes the weights of the model `tiny`, from the shapes of its tensors.
        self.tiny_model = root / "worker/model/tiny_model.py"
        self.tiny_shapes = self.models / "tiny-shapes.json"
        # The definition of the environment that the original scripts run in.
        self.compvis = root / "compvis"

    def unit(self, file_name: str) -> Path:
        """The file of a systemd unit."""
        return self.root / file_name


# The bundle that this module belongs to.
BUNDLE = Bundle(Path(__file__).parents[1])
