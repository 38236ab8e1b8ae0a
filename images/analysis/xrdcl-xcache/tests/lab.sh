# SPDX-License-Identifier: GPL-3.0-or-later
# Sourced by tests/soak/plugin and tests/benchmarks/plugin, after scripts/env: root file systems of servers and clients,
# and the plug-in built in them for both releases of the client, as the image's Containerfile builds it.
lab="${PLUGIN_LAB:-$cache/plugin}"
sources=images/analysis/xrdcl-xcache
server="$lab/forky"
client="$lab/trixie"
# XRootD 6 as in images/xrootd; the client's release 5.8 with headers and Python, and what builds and fuzzes.
server_packages=ca-certificates,xrootd-client,xrootd-plugins,xrootd-server,xrootd-server-plugins
client_packages=ca-certificates,clang,cmake,g++,libclang-rt-19-dev,libxrootd-client-dev,make,python3,python3-venv,python3-xrootd,xrootd-client,xrootd-plugins

if [ "$(id -u)" != 0 ]; then
    echo "The plug-in's lab: needs root, and this is user $(id -un)." >&2
    exit 1
fi
for tool in mmdebstrap openssl unshare; do
    command -v "$tool" >/dev/null || {
        echo "The plug-in's lab: there is no $tool. Run 'apt install mmdebstrap openssl util-linux'." >&2
        exit 1
    }
done

# root DIRECTORY SUITE PACKAGES: a root file system, made once for each list of packages
root() {
    local stamp
    stamp="$2 $3"
    [ "$(cat "$1.stamp" 2>/dev/null)" != "$stamp" ] || return 0
    rm -rf --one-file-system "$1"
    mkdir -p "$lab"
    # The testing suite's metadata outlives its Valid-Until between its releases; signatures are still checked.
    mmdebstrap --variant=minbase --format=directory --aptopt='Acquire::Check-Valid-Until "false"' \
        --aptopt='APT::Install-Recommends "false"' --include="$3" "$2" "$1" >"$1.log" 2>&1 || {
        tail -20 "$1.log" >&2
        return 1
    }
    printf '%s\n' "$stamp" >"$1.stamp"
}

# inside COMMAND...: in the client's root, with this machine's network and trust; the leak sanitizer needs /proc
inside() {
    # shellcheck disable=SC2016 # the inner shell's
    unshare --mount sh -c 'mount --bind /proc "$0/proc" && exec chroot "$0" "$@"' "$client" /usr/bin/env -i HOME=/root PATH=/usr/bin:/bin LANG=C.UTF-8 \
        PIP_CERT=/etc/ssl/certs/ca-certificates.crt PIP_DISABLE_PIP_VERSION_CHECK=1 "$@"
}

# The versions that the image has, of these and of all that they need.
pythons() {
    local stamp
    stamp="$(sha256sum images/analysis/requirements/minimal.txt images/analysis/sources.txt)"
    [ "$(cat "$client.pythons" 2>/dev/null)" != "$stamp" ] || return 0
    cp -L /etc/resolv.conf "$client/etc/resolv.conf"
    cp -L "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$client/etc/ssl/certs/ca-certificates.crt"
    rm -rf "$client/opt/pypi" "$client/opt/debian" "$client/sources"
    mkdir "$client/sources"
    grep -oE '^[A-Za-z0-9_.-]+==[^ ;\\]+' images/analysis/requirements/minimal.txt >"$client/sources/versions.txt"
    grep '^xrootd==' images/analysis/sources.txt >"$client/sources/sources.txt"
    inside python3 -m venv /opt/pypi
    inside /opt/pypi/bin/pip install -q -c /sources/versions.txt fsspec-xrootd uproot xrootd
    inside python3 -m venv --system-site-packages /opt/debian
    inside /opt/debian/bin/pip install -q -c /sources/versions.txt uproot fsspec
    inside /opt/debian/bin/pip install -q -c /sources/versions.txt --no-deps fsspec-xrootd
    inside sh -c 'cd /sources && /opt/pypi/bin/pip download -q --no-deps --no-binary xrootd --require-hashes -r sources.txt &&
        mkdir xrootd && tar -xzf xrootd-*.tar.gz -C xrootd --strip-components=1'
    inside /opt/pypi/bin/python -c 'import numpy, uproot
with uproot.recreate("/lab-events.root") as file:
    file["Events"] = {"pt": numpy.arange(1000, dtype="f8")}'
    printf '%s\n' "$stamp" >"$client.pythons"
}

# build RELEASE ARGUMENT...: build it, run its tests, install it beside the other
build() {
    local release="$1"
    shift
    inside cmake -S /plugin -B "/build/$release" -DCMAKE_INSTALL_PREFIX=/install -DXCACHE_SERVER_TESTS=ON "$@" >/dev/null
    inside cmake --build "/build/$release" -j2
    # Unprivileged, as the client runs: root may read any file.
    chmod -R a+rX "$client/build/$release"
    install -d "$client/build/$release/Testing"
    chown -R 6440:6440 "$client/build/$release/Testing"
    inside setpriv --reuid 6440 --regid 6440 --clear-groups ctest --test-dir "/build/$release" --output-on-failure
    inside cmake --install "/build/$release" >/dev/null
}

builds() {
    rm -rf "$client/install"
    mkdir -p "$client/plugin"
    cp -a "$sources/." "$client/plugin"
    build 5
    build 6 -DXROOTD_INCLUDE_DIR=/sources/xrootd/src \
        -DXROOTD_LIBRARY_DIR="$(inside /opt/pypi/bin/python -c 'import pyxrootd; print(pyxrootd.__path__[0])')"
}

# at_servers WHAT: lab.py in namespaces of its own; all that it starts ends with it
at_servers() {
    unshare --mount --net --pid --uts --fork --kill-child --mount-proc \
        python3 "$sources/tests/lab.py" "$1" "$server" "$client"
}

exec 9>"$cache/plugin.lock"
flock -n 9 || {
    echo "The plug-in's lab: another run is at it." >&2
    exit 1
}
root "$server" forky "$server_packages"
root "$client" trixie "$client_packages"
pythons
builds
