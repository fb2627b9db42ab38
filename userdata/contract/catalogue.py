"""The models that a job can ask for.

A name of `models.json` stands for files that are known beforehand, with their SHA-256. Any other checkpoint is named by
its place: `hf:owner/name/file` or `hf:owner/name@revision/file` on the Hugging Face hub, `s3://bucket/key` in S3.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple

from userdata.contract.bundle import BUNDLE

HUB = "https://huggingface.co"
LONGEST_NAME = 160

# No part begins with a dot: `..` would lead an address out of the repository that it names.
_PART = r"[A-Za-z0-9_+-][A-Za-z0-9_.+-]*"
ON_THE_HUB = rf"hf:[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9_][A-Za-z0-9_.-]*(?:@[A-Za-z0-9_][A-Za-z0-9_.-]*)?(?:/{_PART})+"
IN_S3 = r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[A-Za-z0-9_./+=@-]+"
# How files of checkpoints are called. What a file is, its content tells.
CHECKPOINT_SUFFIXES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")
ANY_CHECKPOINT = r"\.(?:[sS][aA][fF][eE][tT][eE][nN][sS][oO][rR][sS]|[cC][kK][pP][tT]|[pP][tT][hH]?|[bB][iI][nN])"
HUB_PATTERN = ON_THE_HUB + ANY_CHECKPOINT
S3_PATTERN = IN_S3 + ANY_CHECKPOINT
# How places begin.
S3 = "s3://"
HUB_PLACE = "hf:"
# What an image takes on the GPU while it is drawn, beside weights and decoder (userdata/worker/drawing/batch_size.py).
BYTES_PER_PIXEL = 700
GIB = 2**30
# The value of Precision that means single precision throughout.
FULL = "full"
# The value of Quantize that leaves the weights as they are.
OFF = "off"


# diffusers' pipelines of transformers with a language model before them. They read whole sentences, so that brackets in
# a prompt are no weights; no embedding is made for them, and they predict one thing only.
OF_TRANSFORMERS = frozenset({"FluxPipeline", "Flux2KleinPipeline", "ZImagePipeline", "ChromaPipeline"})
# Those that were trained in bfloat16: in float16, whose range is smaller, their activations overflow.
IN_BFLOAT16 = OF_TRANSFORMERS
# Where the LoRAs of a model lie in its folder.
OWN_LORAS = "loras"


@dataclass(frozen=True)
class File:
    """One file to download: its path in the repository, its size in bytes and its SHA-256 in hexadecimal.

    Without a SHA-256 that others state, the hub is asked for both when the file is fetched, and `about_bytes` is its
    size as computed from the configuration. `repository` and `revision` are those of the model unless given, and
    `place`, in the model's folder, is `path`.
    """

    path: str
    bytes: Optional[int] = None
    sha256: Optional[str] = None
    about_bytes: int = 0
    repository: Optional[str] = None
    revision: Optional[str] = None
    place: Optional[str] = None

    @property
    def expected_bytes(self) -> int:
        """The size, as far as it is known before the download."""
        return self.bytes or self.about_bytes


@dataclass(frozen=True)
class Model:
    """One model. `files` is empty for weights that are made on the machine, come with the bundle, or are not listed.

    `repository` is the one on the Hugging Face hub, `revision` a commit or a branch of it. `layout` is the folder of
    `userdata/models/` with the configuration that fits its weights, None for a checkpoint that has to be looked into.
    `pipeline` is the diffusers class that draws with it. `memory_gib` is what one image of `native_size`, an edge in
    pixels, takes on the GPU, as `memory_need` computes it, and `full_memory_gib` what it takes with
    Precision=full; both are None where only the file can tell. `quantized_gib` is the same for each value of Quantize
    that its weights can be kept in; it is empty for a model whose weights stay as they are.
    `loras` are the files of LoRAs that are merged into the weights before anything is drawn, and belong to the model.
    `defaults` are the fields of a job that are the model's own unless asked for otherwise, `size_multiple` is what its
    images' edges are multiples of, and `samplers` are the only ones that it can do, None for all. `guided` is False for
    a model that was distilled to draw without guidance, so that it takes neither a scale nor a negative prompt, and
    `image_to_image` for one whose pipeline starts from noise only. `good_at` says what people choose it for.
    `forbids` is what a restrictive licence forbids, to complete "its licence"; None for a licence that asks for no word
    before the use. `gated` says that the hub wants a token of somebody who has accepted the licence.
    `safety_checker` says whether its images are looked at: the models in the box can draw nothing that the checker
    knows. `bundled_sha256` is set for a model whose files are in the bundle, in `userdata/models/<name>/`: the SHA-256
    over all of them, in hexadecimal, as
    `userdata.boot.steps.bundled_model.folder_sha256` takes it.
    """

    name: str
    title: str
    layout: Optional[str]
    pipeline: Optional[str]
    licence: str
    native_size: int
    memory_gib: Optional[float]
    defaults: Mapping[str, Any]
    good_at: str = ""
    full_memory_gib: Optional[float] = None
    quantized_gib: Mapping[str, float] = field(default_factory=dict)
    size_multiple: int = 8
    samplers: Optional[Tuple[str, ...]] = None
    guided: bool = True
    image_to_image: bool = True
    forbids: Optional[str] = None
    repository: Optional[str] = None
    revision: str = "main"
    gated: bool = False
    safety_checker: bool = True
    files: Tuple[File, ...] = field(default_factory=tuple)
    loras: Tuple[File, ...] = field(default_factory=tuple)
    bundled_sha256: Optional[str] = None

    @property
    def page(self) -> Optional[str]:
        """The page where a person reads about the model and accepts its licence."""
        return f"{HUB}/{self.repository}" if self.repository else None

    @property
    def is_own(self) -> bool:
        """Whether this is a checkpoint that the job names by its place, not one of the catalogue."""
        return self.layout is None

    @property
    def is_noise(self) -> bool:
        """Whether the machine makes the weights, which are random."""
        return not self.is_own and not self.files and self.bundled_sha256 is None

    def memory_need(self, precision: str, second_pass_pixels: int = 0, quantized: str = OFF) -> Optional[float]:
        """GiB on the GPU in this `Precision` of a job; None where only the file can tell.

        `quantized` is the type that its weights are kept in, as `userdata.job.quantization` chooses it.

        A second pass, in which an image has `second_pass_pixels`, takes its maps beside the rest: it is decoded in
        tiles of the model's own size.
        """
        usual = self.full_memory_gib if precision == FULL else self.memory_gib
        need = self.quantized_gib.get(quantized, usual)
        return None if need is None else round(need + second_pass_gib(precision, second_pass_pixels), 1)

    @property
    def of_transformers(self) -> bool:
        """Whether its pipeline is one of `OF_TRANSFORMERS`."""
        return self.pipeline in OF_TRANSFORMERS

    def needs_bfloat16(self, precision: str) -> bool:
        """Whether it needs a card that computes in bfloat16, in this `Precision` of a job."""
        return self.pipeline in IN_BFLOAT16 and precision != FULL

    @property
    def bytes(self) -> int:
        """The size of the download, as far as the catalogue knows it."""
        return sum(file.expected_bytes for file in (*self.files, *self.loras))

    def places(self, folder: Path) -> Dict[Path, File]:
        """Where each of its files lies in its `folder`."""
        places = {folder / (file.place or file.path): file for file in self.files}
        return {**places, **{self._lora_place(folder, file): file for file in self.loras}}

    def lora_places(self, folder: Path) -> List[Path]:
        """Where its own LoRAs lie in its `folder`."""
        return [self._lora_place(folder, file) for file in self.loras]

    def _lora_place(self, folder: Path, file: File) -> Path:
        return folder / OWN_LORAS / file.path

    def url(self, file: File) -> str:
        """The address of one of its files."""
        revision = file.revision or self.revision
        return f"{HUB}/{file.repository or self.repository}/resolve/{revision}/{file.path}"


def second_pass_gib(precision: str, pixels: int) -> float:
    """GiB on the GPU for the maps of an image of `pixels` in a second pass, and of its first one, a quarter of that."""
    return 1.25 * pixels * BYTES_PER_PIXEL * (2 if precision == FULL else 1) / GIB


def read_catalogue(path: Path = BUNDLE.catalogue) -> Dict[str, Model]:
    """Every model of the catalogue by its name, in the order of the file."""
    entries = json.loads(path.read_text("utf-8"))
    return {name: _listed(name, entry) for name, entry in entries.items()}


def safety_checker() -> Model:
    """The safety checker, as far as it is to be downloaded."""
    (checker,) = read_catalogue(BUNDLE.safety_checker).values()
    return checker


def find_model(name: str, path: Path = BUNDLE.catalogue) -> Model:
    """The model `name`: one of the catalogue, or a person's own. Raises `KeyError` when it is neither."""
    listed = read_catalogue(path)
    if name in listed:
        return listed[name]
    if re.fullmatch(HUB_PATTERN, name):
        repository, revision, _ = hub_parts(name)
        return _own(name, listed, repository=repository, revision=revision)
    if re.fullmatch(S3_PATTERN, name):
        return _own(name, listed)
    raise KeyError(name)


def usual_model(layout: str, path: Path = BUNDLE.catalogue) -> Model:
    """The catalogue's model that stands for a person's own checkpoint of `layout`: the one with the largest images.

    Raises `ValueError` when the catalogue has none of that layout.
    """
    listed = read_catalogue(path).values()
    return max((model for model in listed if model.layout == layout), key=lambda model: model.native_size)


def hub_parts(reference: str) -> Tuple[str, str, str]:
    """Repository, revision and path of `hf:owner/name[@revision]/path`."""
    owner, name, path = reference[len(HUB_PLACE) :].split("/", 2)
    name, _, revision = name.partition("@")
    return f"{owner}/{name}", revision or "main", path


def _listed(name: str, entry: Mapping[str, Any]) -> Model:
    # What a pin rests on is for people; a program needs the pin alone.
    known = {key: value for key, value in entry.items() if key != "hashes_stated_by"}
    if "samplers" in known:
        known["samplers"] = tuple(known["samplers"])
    files = {key: tuple(File(**file) for file in entry.get(key, [])) for key in ("files", "loras")}
    return Model(name=name, **{**known, **files})


def _own(name: str, listed: Mapping[str, Model], **where: Any) -> Model:
    usual = next(iter(listed.values()))
    return Model(
        name=name,
        title=name,
        layout=None,
        pipeline=None,
        licence="its owner's",
        native_size=usual.native_size,
        memory_gib=None,
        defaults=usual.defaults,
        **where,
    )
