#!/usr/bin/env bash
# usage: with-r.sh COMMAND...   runs it with the project's R library and Python, e.g. tools/with-r.sh Rscript my.R
set -euo pipefail
. "$(dirname "$0")/lib.sh"
r_environment
exec "$@"
