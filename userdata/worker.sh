#!/usr/bin/env bash
# The main process of sd-worker.service, and of sd-drawing@.service with the name of its module: in the interpreter that
# the boot chose.
set -Eeuo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
module=${1:-userdata.worker}
# The dynamic user has no home; what libraries keep there belongs to the process's own state.
export HOME=${STATE_DIRECTORY:?is not set: run this through sd-worker.service}
# What torch compiles stays for later runs.
export TORCHINDUCTOR_CACHE_DIR=$HOME/compiled/inductor TRITON_CACHE_DIR=$HOME/compiled/triton \
  CUDA_CACHE_PATH=$HOME/compiled/cuda
# What may hold a credential, or lead to one.
[[ $module == userdata.worker ]] || unset "${!AWS_@}" "${!PIP_@}" "${!UV_@}" "${!HF_TOKEN@}"
exec "${SD_PYTHON:?is not set: worker.env is written by the boot, so boot this machine first}" -u -m "$module"
