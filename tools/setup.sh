#!/usr/bin/env bash
# Everything that isthmus needs, from a bare Debian 12: Debian's packages, Python in .venv, R packages in .Rlib.
# Each step is stamped with the hash of what it depends on; a second run finds the stamps and takes a second.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

# --- Debian's packages -------------------------------------------------------------------------------------------

missing_packages() {
    local wanted present
    wanted=$(sed 's/#.*//' tools/apt-packages.txt | xargs -n1)
    find_python >/dev/null || wanted+=$'\npython3\npython3-venv\npython3-dev'
    # shellcheck disable=SC2086
    present=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null | sed -n 's/^installed //p')
    comm -23 <(sort -u <<< "$wanted") <(sort -u <<< "$present") | xargs
}

system_packages() {
    command -v apt-get >/dev/null || die "this set-up knows Debian and Ubuntu only (no apt-get here)" \
        "install R >= 4.2 with the packages named in tools/apt-packages.txt and Python >= 3.11, then see CONTRIBUTING.md"
    local missing
    missing=$(missing_packages)
    [ -n "$missing" ] || return 0
    is_root || die "these Debian packages are missing, and only root can install them" \
        "ask an administrator to run:  apt-get update && apt-get install -y --no-install-recommends $missing"
    say "Debian packages: $(wc -w <<< "$missing") and what they need"
    export DEBIAN_FRONTEND=noninteractive
    run_logged apt-update apt-get update
    # shellcheck disable=SC2086
    run_logged apt-install apt-get install -y --no-install-recommends -o Acquire::Retries=3 $missing
}

# --- Python ------------------------------------------------------------------------------------------------------

# A Python that R can embed and rpy2 can be built for: 3.11 or newer, with pip for its environments, headers, and a
# shared libpython (which a source build has only with --enable-shared, and Debian's only with python3-dev).
find_python() {
    local candidate
    for candidate in ${ISTHMUS_PYTHON:-} python3 python3.11 python3.12 python3.13 /usr/bin/python3; do
        command -v "$candidate" >/dev/null || continue
        "$candidate" tools/python_is_usable.py 2>/dev/null && { command -v "$candidate"; return 0; }
    done
    return 1
}

python_environment() {
    local python stamp
    stamp=$(hash_of pyproject.toml tools/setup.sh tools/install-python.sh)-$(r_version)
    is_done python "$stamp" && "$VENV/bin/python" -c '' 2>/dev/null && return 0
    python=$(find_python) || die "no Python >= 3.11 with venv, headers and a shared libpython" \
        "apt-get install python3 python3-venv python3-dev, or name one: ISTHMUS_PYTHON=/path/to/python make setup"
    say "Python packages in .venv, with $("$python" --version) ($python)"
    run_logged python bash tools/install-python.sh "$python"
    grep '^note:' "$LOGS/python.log" || true
    mark_done python "$stamp"
}

# --- R -----------------------------------------------------------------------------------------------------------

r_library() {
    local stamp
    stamp=$(hash_of tools/reticulate.sh)-$(r_version)
    is_done reticulate "$stamp" && [ -d "$RLIB" ] && return 0
    say "reticulate for R, in .Rlib where the installed one is too old"
    mkdir -p "$RLIB"
    run_logged reticulate bash tools/reticulate.sh
    mark_done reticulate "$stamp"
}

r_package() {
    local stamp
    [ -f NAMESPACE ] || { say "no NAMESPACE yet: run 'make document' to make it"; return 0; }
    stamp=$(hash_of DESCRIPTION NAMESPACE R man inst LICENSE .Rinstignore)
    is_done package "$stamp" && [ -d "$RLIB/isthmus" ] && return 0
    say "the R package isthmus, in .Rlib"
    r_environment
    run_logged r-package R CMD INSTALL --no-multiarch --library="$RLIB" .
    mark_done package "$stamp"
}

# Two set-ups at once would tread on each other's pip.
exec 9> "$STAMPS/lock"
flock 9
started=$SECONDS
system_packages
python_environment
r_library
r_package
[ $((SECONDS - started)) -lt 5 ] || say "set-up done in $((SECONDS - started)) s"
