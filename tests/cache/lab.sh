# SPDX-License-Identifier: GPL-3.0-or-later
# Sourced by tests/soak/cache and tests/benchmarks/cache, after scripts/env: a root file system of the servers, and what role
# xcache would give to a cache and its origin.
lab="${CACHE_LAB:-$cache/cache-lab}"
root="$lab/root"
# As in images/xrootd, with what compiles its guard; the client's Python, a clock that jumps, and what the cache is measured beside.
packages=ca-certificates,gcc,libc6-dev,libfaketime,libisal-dev,nginx-light,openssl,python3,python3-xrootd,xrootd-client,xrootd-client-plugins,xrootd-plugins,xrootd-server,xrootd-server-plugins

if [ "$(id -u)" != 0 ]; then
    echo "The cache's lab: needs root, and this is user $(id -un)." >&2
    exit 1
fi
for tool in ip mmdebstrap nft nsenter unshare; do
    command -v "$tool" >/dev/null || {
        echo "The cache's lab: there is no $tool. Run 'apt install iproute2 mmdebstrap nftables util-linux'." >&2
        exit 1
    }
done
mkdir -p "$lab"
exec 9>"$lab/lock"
flock -n 9 || {
    echo "The cache's lab: another run is at it." >&2
    exit 1
}
if [ "$(cat "$lab/packages" 2>/dev/null)" != "$packages" ]; then
    rm -rf --one-file-system "$root"
    # The testing suite's metadata outlives its Valid-Until between its releases; signatures are still checked.
    mmdebstrap --variant=minbase --format=directory --aptopt='Acquire::Check-Valid-Until "false"' \
        --aptopt='APT::Install-Recommends "false"' --include="$packages" forky "$root" >"$lab/root.log" 2>&1 || {
        tail -20 "$lab/root.log" >&2
        exit 1
    }
    printf '%s' "$packages" >"$lab/packages"
fi
cp images/xrootd/guard.c "$root/usr/src"
chroot "$root" gcc -std=c11 -O2 -Wall -Wextra -Werror -fPIC -shared -o /usr/local/lib/cmsaf-xrootd-guard.so /usr/src/guard.c -lisal
# As the image's build does.
chroot "$root" dpkg-query -f '${Version}' -W xrootd-server >"$root/etc/xrootd/version"
install -m 0755 images/xrootd/cmsaf-xrootd images/xrootd/cmsaf-xrootd-probe "$root/usr/local/bin"
python3 tests/cache/kinds.py "$lab/config"

# in_lab COMMAND...: in namespaces of its own; all that it starts ends with it
in_lab() { unshare --mount --net --pid --fork --kill-child --mount-proc "$@"; }
