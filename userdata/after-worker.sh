#!/usr/bin/env bash
# Runs when sd-worker.service has ended, however it ended: decides whether the machine powers off.
set -Eeuo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec python3 -u -m userdata.boot.after_worker
