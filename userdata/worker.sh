#!/usr/bin/env bash
# The main process of sd-worker.service, and of sd-drawing@.service with the name of its module: in the interpreter that
# the boot chose.
set -Eeuo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
module=${1:-userdata.worker}
# The dynamic user has no home; what libraries keep there belongs to the process's own state.
export HOME=${STATE_DIRECTORY:?is not set: run this through sd-worker.service}
# What torch compiles stays for later runs. What CUDA's driver compiles is not kept for the next machine: its folders are
# closed to every other user (seen on an H200), so also to the one who writes the cache.
export TORCHINDUCTOR_CACHE_DIR=$HOME/compiled/inductor TRITON_CACHE_DIR=$HOME/compiled/triton CUDA_CACHE_PATH=$HOME/cuda
# What may hold a credential, as the address of a mirror or a proxy may, or lead to one: NOT_FOR_DRAWING in Python.
if [[ $module != userdata.worker ]]; then
  while IFS= read -r name; do
    unset "$name"
  done < <(compgen -e | grep -Ei '^(AWS|PIP|UV)_|URL|PROXY|TOKEN|SECRET|PASSWORD|KEY')
fi
exec "${SD_PYTHON:?is not set: worker.env is written by the boot, so boot this machine first}" -u -m "$module"
