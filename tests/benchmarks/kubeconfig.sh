# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# The API server of the box as its administrator: brings $work/kubeconfig; what goes wrong is shown.
ansible -i "$inventory" 'kube_control_plane[0]' --module-name ansible.builtin.fetch \
    --args "src=/etc/kubernetes/admin.conf dest=$work/kubeconfig flat=true" >"$work/log" || { cat "$work/log" >&2; exit 1; }
chmod 0600 "$work/kubeconfig"
