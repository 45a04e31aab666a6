#!/usr/bin/env bash
# The main job, from R, on the cells that come with the dependencies or on the user's (see make help).
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"
r_environment

arguments=()
for name in DATA BATCH QUERY LABELS VALUES QUERY_VALUES MIN_COVERAGE SEED OUT; do
    [ -z "${!name:-}" ] || arguments+=("--${name,,}=${!name}")
done
exec Rscript inst/scripts/demo.R "${arguments[@]}"
