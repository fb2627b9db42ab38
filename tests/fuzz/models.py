"""Readers of models, LoRAs and embeddings."""

from __future__ import annotations

import io
import json
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save

from tests.fuzz.target import Target
from userdata.contract.safetensors_header import header_in
from userdata.job.run_error import RunError
from userdata.worker.model.lora_file import layers_of, read_lora
from userdata.worker.model.peft_settings import METADATA
from userdata.worker.model.tensor_file import look_into

NETWORKS = {"unet": torch.nn.ModuleDict({"to_q": torch.nn.Linear(4, 4), "conv": torch.nn.Conv2d(4, 4, 3)})}
LORA = {"unet.to_q.lora_A.weight": torch.ones(2, 4), "unet.to_q.lora_B.weight": torch.ones(4, 2)}


def in_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """`read` of a file with the given bytes, in memory where the system has a folder for that."""
    folder = Path("/dev/shm")

    def parse(content: bytes) -> object:
        with tempfile.TemporaryDirectory(dir=folder if folder.is_dir() else None) as scratch:
            file = Path(scratch, name)
            file.write_bytes(content)
            return read(file)

    return parse


def header(content: bytes) -> object:
    return header_in(lambda count: content[:count])


def metadata(content: bytes) -> object:
    """PEFT's settings in the header of a LoRA that is good."""
    return layers_of("a", LORA, {METADATA: content.decode("utf-8", "replace")}, NETWORKS)


def whole(content: bytes) -> bytes:
    """A file of safetensors with this header, and as many bytes behind it as its first bytes say."""
    return struct.pack("<Q", len(content)) + content + bytes(content[:1] and 4096)


def pickled(content: bytes) -> bytes:
    """A file of torch.save with this pickle."""
    file = io.BytesIO()
    writer = torch._C.PyTorchFileWriter(file)
    writer.write_record("data.pkl", content, len(content))
    writer.write_record("data/0", bytes(64), 64)
    writer.write_end_of_file()
    return file.getvalue()


look_into_safetensors = in_file("a.safetensors", look_into)
look_into_pickle = in_file("a.ckpt", look_into)
look_at_lora = in_file("a.safetensors", lambda file: read_lora(file, NETWORKS))

TARGETS = {
    "safetensors-header": Target(header),
    "safetensors-file": Target(look_into_safetensors),
    "safetensors-tensors": Target(lambda content: look_into_safetensors(whole(content))),
    "lora-file": Target(look_at_lora, (RunError,)),
    "lora-metadata": Target(metadata, (RunError,)),
    "ckpt-file": Target(look_into_pickle, (ValueError, RunError)),
    "ckpt-pickle": Target(lambda content: look_into_pickle(pickled(content)), (ValueError, RunError)),
}


def seeds() -> dict[str, list[bytes]]:
    """The good files of which the corpus was made."""
    names = {"a": torch.zeros(2, 3)}
    file = io.BytesIO()
    torch.save({"state_dict": names, "more": bytearray(b"ab")}, file)
    old = io.BytesIO()
    torch.save(names, old, _use_new_zipfile_serialization=False)
    reader = torch._C.PyTorchFileReader(io.BytesIO(file.getvalue()))
    settings = {"unet.lora_alpha": 4, "alpha_pattern": {"to_q": 2, ".*conv": 1}, "use_rslora": True}
    plain = save(names, metadata={"format": "pt"})
    return {
        "safetensors-header": [plain],
        "safetensors-file": [plain],
        "safetensors-tensors": [plain[8 : 8 + struct.unpack("<Q", plain[:8])[0]]],
        "lora-file": [save(LORA, metadata={METADATA: json.dumps(settings)})],
        "lora-metadata": [json.dumps(settings).encode()],
        "ckpt-file": [file.getvalue(), old.getvalue()],
        "ckpt-pickle": [reader.get_record("data.pkl")],
    }
