# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# For the benchmarks of the hub: $hub has what its image installs, $work is a directory of the run with the hub's own packages.
hub="$cache/bench-hub"
key="$(sha256sum <images/hub/requirements.txt)"
if [ "$(cat "$hub/.key" 2>/dev/null)" != "$key" ]; then
    echo "Installing what the hub's image has in $hub (about a minute)" >&2
    python3 -m venv --clear "$hub"
    "$hub/bin/pip" install --quiet --disable-pip-version-check --require-hashes --requirement images/hub/requirements.txt
    printf '%s' "$key" >"$hub/.key"
fi
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
mkdir "$work/packages"
ln -s "$PWD/images/hub/cmsaf_hub" "$work/packages/cmsaf_hub"
ln -s "$PWD/plugins/module_utils" "$work/packages/cmsaf_mint"
export PYTHONPATH="$work/packages:$PWD/tests/benchmarks"
