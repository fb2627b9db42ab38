"""Provides all files that a job is drawn with: its model, what belongs to it, the safety checker."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from userdata.boot.steps.companions import provide_embeddings, provide_loras, provide_safety_checker, provide_vae
from userdata.boot.steps.downloads import Downloads
from userdata.boot.steps.machine import Machine
from userdata.boot.steps.weights import provide_weights
from userdata.contract.worker_environment import ModelEnvironment


def provide_job_files(machine: Machine, *, python: Optional[Path]) -> ModelEnvironment:
    """Where the files lie that the job of `machine.parameters` is drawn with; what is missing is fetched.

    `python` is the worker's interpreter, for weights that are made here. Raises `StepError`.
    """
    downloads = Downloads(machine)
    return ModelEnvironment(
        model_folder=provide_weights(machine, downloads, python=python),
        lora_files=provide_loras(machine, downloads),
        vae_file=provide_vae(machine, downloads),
        embedding_files=provide_embeddings(machine, downloads),
        safety_checker=provide_safety_checker(machine, downloads),
    )
