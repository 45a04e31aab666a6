# Shared by the set-up scripts; source it, do not run it.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=$ROOT/.venv
RLIB=$ROOT/.Rlib
STAMPS=$ROOT/.cache/stamps
LOGS=$ROOT/.cache/log
mkdir -p "$STAMPS" "$LOGS"

say() { printf '\n==> %s\n' "$*"; }

# The remedy is the last thing on the screen, so that nobody has to scroll for it.
die() { printf '\nisthmus set-up stopped: %s\n' "$1" >&2; [ $# -lt 2 ] || printf 'Remedy: %s\n' "$2" >&2; exit 1; }

is_root() { [ "$(id -u)" -eq 0 ]; }

# hash_of PATH... : one hash over the contents (and names) of files and folders, caches left out
hash_of() {
    find -L "$@" -type f ! -path '*/__pycache__/*' ! -name '*.py[co]' -print0 2>/dev/null |
        sort -z | xargs -0 -r sha256sum | sha256sum | cut -c1-32
}

r_version() { Rscript --version 2>&1 | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' | head -n 1; }

is_done() { [ "$(cat "$STAMPS/$1" 2>/dev/null || true)" = "$2" ]; }
mark_done() { printf '%s\n' "$2" > "$STAMPS/$1.tmp" && mv "$STAMPS/$1.tmp" "$STAMPS/$1"; }

# run_logged NAME COMMAND... : quiet when all goes well, the log's end when it does not
run_logged() {
    local log=$LOGS/$1.log; shift
    "$@" > "$log" 2>&1 || { tail -n 40 "$log" >&2; die "this command failed: $*" "read $log, mend the cause, and run the same make command again"; }
}

# Every R process of ours sees the project library first and this Python, whatever the user's profile says.
r_environment() {
    export R_LIBS_USER=$RLIB R_LIBS=$RLIB RETICULATE_PYTHON=$VENV/bin/python
    # R prepends the system's folders to LD_LIBRARY_PATH, which beats a Python binary's own RUNPATH: every Python
    # that R starts would then run one build's binary on another build's libpython. R_LD_LIBRARY_PATH is what R
    # prepends, so ours goes first there.
    local ours theirs
    ours=$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_config_var("LIBDIR"))')
    theirs=$(set +u; unset R_LD_LIBRARY_PATH; R_HOME=$(R RHOME); . "$R_HOME/etc/ldpaths"; echo "$R_LD_LIBRARY_PATH")
    export R_LD_LIBRARY_PATH=$ours:$theirs
}

# The working tree as a tar stream, without what git ignores (.venv, .cache and the like).
pack_repository() {
    git -C "$ROOT" ls-files -co --exclude-standard -z |
        tar -C "$ROOT" --null --ignore-failed-read -T - -cf - 2>/dev/null
}

# Threads follow the machine, not R's and torch's separate guesses.
: "${OMP_NUM_THREADS:=$(nproc)}"; export OMP_NUM_THREADS
