#!/usr/bin/env bash
# R CMD build and R CMD check of the package as its users get it; works without CRAN and Bioconductor in reach.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"
r_environment
export _R_CHECK_CRAN_INCOMING_=false _R_CHECK_SYSTEM_CLOCK_=false _R_CHECK_FORCE_SUGGESTS_=false
export R_LIBS=$RLIB:${R_LIBS_SITE:-}

work=$ROOT/.cache/check
rm -rf "$work" && mkdir -p "$work"
# A clean copy: R CMD build reads every file of the folder before it drops what .Rbuildignore names.
mkdir "$work/isthmus" && pack_repository | tar -C "$work/isthmus" -xf -
cd "$work"
R CMD build isthmus
R CMD check --no-manual ${CHECK_ARGS:-} ./*.tar.gz
