#!/usr/bin/env bash
# usage: install-python.sh PYTHON    makes .venv with it and installs isthmus, editable, with its extras for R
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

python=$1
pip="$VENV/bin/python -m pip"
# Bytecode is made when a module is first imported: most of what comes along never is.
export PIP_NO_COMPILE=1
constraints=$ROOT/.cache/constraints.txt

has_torch() {
    "$VENV/bin/python" - <<'PY'
import importlib.metadata as m, sys
try:
    version = tuple(int(part) for part in m.version("torch").split("+")[0].split(".")[:2])
except (m.PackageNotFoundError, ValueError):
    version = (0, 0)
sys.exit(version < (2, 6))
PY
}

# torch comes first and stays: on a machine without a GPU the registry's default build would bring gigabytes of CUDA.
install_torch() {
    has_torch && return 0
    if [ "$(uname -s)" = Linux ] && [ ! -e /dev/nvidiactl ]; then
        $pip install "torch==2.13.0+cpu" && return 0
        echo "note: pip's sources hold no CPU build of torch 2.13.0; taking the newest torch they have (several GB)"
    fi
    $pip install "torch>=2.6"
}

write_constraints() {
    $pip list --format freeze | grep '^torch==' > "$constraints.tmp"
    # rpy2's C layer 3.6.6 and newer compiles against older R without a word, then fails when it is imported.
    Rscript --vanilla -e 'quit(status = getRversion() >= "4.5")' && echo "rpy2-rinterface<3.6.6" >> "$constraints.tmp"
    mv "$constraints.tmp" "$constraints"
}

"$VENV/bin/python" -c '' 2>/dev/null || { rm -rf "$VENV"; "$python" -m venv "$VENV"; }
$pip install "pip>=25.1"        # the first that knows --group
install_torch
write_constraints
$pip install -c "$constraints" -e ".[r,plot,mudata]" --group dev
