#!/usr/bin/env bash
# reticulate >= 1.41 into the project's R library, only where the installed one is older.
#
# Older ones kill R when its garbage collector runs under rpy2 (before 1.31) and convert no NumPy 2 array (before 1.38).
# Debian 12 ships 1.28. Debian's next release has the source of 1.41, which builds on R 4.2 in under a minute with
# the libraries that Debian 12's own r-cran-reticulate brings: the same, tested version everywhere, through apt.
# CRAN is the second choice.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

floor=1.41
have() {
    R_LIBS=$RLIB Rscript --vanilla -e \
        "quit(status = !(requireNamespace('reticulate', quietly = TRUE) && packageVersion('reticulate') >= '$floor'))" \
        >/dev/null 2>&1
}

from_debian() {
    local work site options
    work=$(mktemp -d)
    chmod 755 "$work" && mkdir -p "$work/lists/partial" "$work/src" "$work/package"
    site=$(apt-get indextargets --format '$(SITE)' | grep -m1 '/debian/*$') || return 1
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site trixie main" > "$work/sources.list"
    options=(-o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$work/lists")
    apt-get "${options[@]}" update -qq || return 1
    # apt may fail on the .dsc (a '+' in its name); the original tarball, which it verifies, is all we need.
    (cd "$work/src" && apt-get "${options[@]}" source --download-only r-cran-reticulate) || true
    tar xf "$work"/src/*orig.tar.* -C "$work/package" --strip-components=1 || return 1
    MAKEFLAGS=-j$(nproc) R CMD INSTALL --no-docs --no-test-load --library="$RLIB" "$work/package" || return 1
    rm -rf "$work"
}

from_cran() {
    R_LIBS=$RLIB R_DEFAULT_INTERNET_TIMEOUT=20 timeout 600 Rscript --vanilla -e "
        utils::chooseCRANmirror(graphics = FALSE, ind = 1, local.only = TRUE)
        utils::install.packages('reticulate', lib = '$RLIB')"
}

mkdir -p "$RLIB"
have && exit 0
from_debian || from_cran || true
have || die "reticulate $floor or newer could not be installed into $RLIB" \
    "in R: install.packages('reticulate', lib = '$RLIB'), then run the same make command again"
