#!/usr/bin/env bash
# usage: [FILTER=REGEX] test-modern.sh [COMMAND...]
# The R suite, then the Python tests of the bridge, on R 4.5, Seurat 5, Bioconductor 3.20 and Debian's own Python and torch.
# With a command: runs that instead, in a copy of the working tree whose R package is installed.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

data=${ISTHMUS_DATA:-$ROOT/../shared/data}
[ ! -d "$data" ] || export ISTHMUS_DATA=$(cd "$data" && pwd)
root=${ISTHMUS_CHROOTS:-$ROOT/.cache}/trixie
[ $# -gt 0 ] || set -- bash tools/test-modern-inside.sh

# A folder, a library and a Python path of its own for each call, so that several may run at once.
pack_repository | bash tools/r-chroot.sh trixie "$root" bash -ec '
    work=$(mktemp -d /tmp/isthmus-XXXXXX)
    trap "rm -rf $work" EXIT
    mkdir "$work/repository" "$work/library" && tar -C "$work/repository" -xf - && cd "$work/repository"
    export R_LIBS=$work/library R_LIBS_USER=$work/library PYTHONPATH=$work/site FILTER='"'${FILTER:-}'"'
    /opt/venv/bin/python -m pip install -q --no-deps --target "$work/site" .
    R CMD INSTALL --no-docs --no-multiarch --library="$work/library" . > "$work/install.log" 2>&1 || { cat "$work/install.log"; exit 1; }
    "$@" < /dev/null' _ "$@"
