#!/usr/bin/env bash
# usage: r-chroot.sh SUITE FOLDER COMMAND...   (root, on Debian with debootstrap)
#
# Runs COMMAND in a Debian SUITE of its own (newer R, Seurat and Bioconductor than this machine's), built in FOLDER on
# the first call in about six minutes and kept. The repository appears there, read-only, as /src, and the folder that
# ISTHMUS_DATA names as /data.
# Mounts live in a private namespace and vanish with the command, so FOLDER can always be removed safely.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

suite=$1 folder=$2; shift 2
packages=$(sed 's/#.*//' "$ROOT/tools/chroot-packages.txt" | xargs)
is_root || die "a chroot needs root" "ask an administrator to run: make test-modern"

inside() {
    unshare --mount --propagation private bash -c '
        root=$1 repo=$2; shift 2
        mount -t proc proc "$root/proc"; mount -t sysfs -o ro sysfs "$root/sys"
        mount --rbind /dev "$root/dev"
        mkdir -p "$root/src" && mount --bind "$repo" "$root/src" && mount -o remount,bind,ro "$root/src"
        [ -z "${ISTHMUS_DATA:-}" ] || { mkdir -p "$root/data" && mount --bind "$ISTHMUS_DATA" "$root/data" &&
            mount -o remount,bind,ro "$root/data"; }
        certificates=/etc/ssl/certs/ca-certificates.crt
        exec env -i HOME=/root TERM=dumb LANG=C.UTF-8 LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
            PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin OMP_NUM_THREADS='"$OMP_NUM_THREADS"' \
            SSL_CERT_FILE=$certificates PIP_CERT=$certificates REQUESTS_CA_BUNDLE=$certificates \
            PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_DEFAULT_TIMEOUT=180 PIP_ROOT_USER_ACTION=ignore \
            PIP_CONSTRAINT=/opt/constraints.txt RETICULATE_PYTHON=/opt/venv/bin/python \
            ${ISTHMUS_DATA:+ISTHMUS_DATA=/data} \
            chroot "$root" "$@"' _ "$folder" "$ROOT" "$@"
}

bootstrap() {
    local site
    command -v debootstrap >/dev/null || apt-get install -y -qq --no-install-recommends debootstrap >/dev/null
    site=$(apt-get indextargets --format '$(SITE)' | grep -m1 '/debian/*$')    # the mirror that this machine uses
    rm -rf --one-file-system "$folder"
    mkdir -p "$(dirname "$folder")"
    debootstrap --variant=minbase "$suite" "$folder" "$site" || return 1    # set -e is off under run_logged
    cp -L /etc/resolv.conf /etc/hosts "$folder/etc/"
    mkdir -p "$folder/usr/local/share/ca-certificates"
    cp /usr/local/share/ca-certificates/*.crt "$folder/usr/local/share/ca-certificates/" 2>/dev/null || true
    # No services, no waiting for the disk, no documentation: halves the time.
    printf '#!/bin/sh\nexit 101\n' > "$folder/usr/sbin/policy-rc.d" && chmod +x "$folder/usr/sbin/policy-rc.d"
    cat > "$folder/etc/apt/apt.conf.d/99isthmus" <<'CONF'
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::Retries "5";
Acquire::Check-Valid-Until "false";
Dpkg::Options { "--force-unsafe-io"; };
CONF
    printf 'path-exclude /usr/share/%s/*\n' man locale > "$folder/etc/dpkg/dpkg.cfg.d/01isthmus"
    touch "$folder/opt/constraints.txt"
}

# texlive comes in through BiocStyle, at hundreds of MiB; HTML vignettes need none of it.
without_texlive() {
    mkdir -p "$folder/tmp/stand-in/DEBIAN"
    cat > "$folder/tmp/stand-in/DEBIAN/control" <<'CONTROL'
Package: isthmus-no-texlive
Version: 1
Architecture: all
Maintainer: isthmus <isthmus@localhost>
Provides: texlive, texlive-fonts-extra, texlive-fonts-recommended, texlive-latex-recommended, texlive-latex-base, texlive-latex-extra, texlive-base, lmodern, fonts-lmodern
Description: stands in for TeX Live
CONTROL
    inside bash -ec 'dpkg-deb -b /tmp/stand-in /tmp/stand-in.deb >/dev/null; dpkg -i /tmp/stand-in.deb >/dev/null'
}

# Debian's torch is a CPU build: pip must never replace it by the registry's, which brings gigabytes of CUDA.
python_environment() {
    pack_repository | inside bash -ec '
        [ -e /opt/venv ] || python3 -m venv --system-site-packages /opt/venv
        version=$(/opt/venv/bin/python -c "import importlib.metadata as m; print(m.version(\"torch\"))")
        echo "torch==$version" > /opt/constraints.txt
        rm -rf /tmp/w && mkdir -p /tmp/w && tar -C /tmp/w -xf -
        /opt/venv/bin/pip install -q "/tmp/w[r,plot,mudata]" "pytest>=8" hypothesis
        /opt/venv/bin/pip uninstall -q -y isthmus && rm -rf /tmp/w ~/.cache'
}

# The stamp tells a root made for other packages from one that still serves.
wanted=$(hash_of "$ROOT/pyproject.toml" "$ROOT/tools/chroot-packages.txt")
if [ "$(cat "$folder/.ready" 2>/dev/null || true)" != "$wanted" ]; then
    if [ ! -e "$folder/.bootstrapped" ]; then
        say "building a Debian $suite root in $folder (about six minutes, once)" >&2
        run_logged "chroot-$suite" bootstrap < /dev/null
        run_logged "chroot-$suite" without_texlive < /dev/null
        touch "$folder/.bootstrapped"
    fi
    say "bringing the packages of $folder up to date" >&2
    run_logged "chroot-$suite-apt" inside bash -ec "apt-get update -qq && apt-get install -y -qq $packages &&
        update-ca-certificates && apt-get clean" < /dev/null
    run_logged "chroot-$suite-python" python_environment
    echo "$wanted" > "$folder/.ready"
fi
inside "$@"
