#!/usr/bin/env bash
# Boots the product under the system's own Python, and keeps what it says: in its log, and on the console.
set -Eeuo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
log=${SD_PREFIX:-}/var/log/sd-on-ec2/boot.log
parameters=${SD_PREFIX:-}/var/lib/sd-on-ec2/parameters
mkdir -p "$(dirname "$log")"
# Bundles of earlier deploys. The user data leaves them here, because it has no byte to spare.
software=${SD_PREFIX:-}/opt/sd-on-ec2
for bundle in "$software"/bundles/*; do
  [[ $bundle -ef $software/current ]] || rm -rf "$bundle"
done
# On the disk: pip keeps gigabytes of wheels in the temporary folder, and /tmp is in memory. Emptied, since what a power
# cut leaves would stay.
export TMPDIR=${SD_PREFIX:-}/var/tmp/sd-on-ec2
rm -rf "$TMPDIR"
mkdir -p "$TMPDIR"

status=0
python3 -u -m userdata.boot 2>&1 | tee -a "$log" || status=$?

# 0 is success, and 70 a failure that the boot has reported and acted on. Anything else is a boot that could do
# neither (killed for memory, a broken Python): a machine that costs money must not be left running over it.
if ((status != 0 && status != 70)) && ! grep -qs '^OnFailure:keep$' "$parameters"; then
  echo "sd-on-ec2: the boot ended unexpectedly ($status); powering off. Its log is $log" | tee -a "$log"
  # A machine of a fleet that only powered off would be replaced, and the next one too.
  python3 -m userdata.fleet.leave "The boot ended unexpectedly ($status)." 2>&1 | tee -a "$log" || true
  shutdown -P now
fi
exit "$status"
