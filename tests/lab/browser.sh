# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# For what looks at pages in a browser: $python has what drives it, $state is a directory of the run that says how the hub
# is reached.
hash chromium 2>/dev/null || apt-get install --yes --no-install-recommends chromium
python="$cache/lab/venv/bin/python"
[ -x "$python" ] || python3 -m venv "$cache/lab/venv"
"$python" -m pip install --quiet --disable-pip-version-check --requirement tests/lab/requirements.txt
# The session's token and the authority's certificate; gone with the run.
state="$(mktemp -d)"
trap 'rm -rf "$state"' EXIT
ansible-playbook -i "$inventory" -e "rotate_state=$state" tests/rotate/settings.yml
