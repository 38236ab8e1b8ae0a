# SPDX-License-Identifier: GPL-3.0-or-later
"""expiry_info through a real play, on files that the collection's own modules and openssl made."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

KUBECTL = """#!/bin/sh
# Answers as kubectl does for a cluster with one running server.
case "$*" in
  *"--namespace hub get secrets --selector cmsaf.facility/server"*) cat {here}/secrets.json ;;
  *) echo 'Error from server (Forbidden): no' >&2; exit 1 ;;
esac
"""


def test_ends_are_told_and_nothing_else(
    tmp_path: Path, play: Callable[..., Any], certificate: Callable[[Path, int], str]
) -> None:
    now = time.time()
    certificate(tmp_path / "a.pem", 30)
    (tmp_path / "empty.pem").write_bytes(b"")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "kubectl").write_text(KUBECTL.format(here=tmp_path), encoding="utf-8")
    (tmp_path / "bin" / "kubectl").chmod(0o755)
    cluster = {"kubeconfig": "/none", "namespace": "hub", "label": "cmsaf.facility/server"}
    token = {
        "path": "{{ here }}/token",
        "key_path": "{{ here }}/POOL",
        "issuer": "pool.af.test",
        "identity": "alice@users.af.test",
        "scopes": ["READ"],
        "lifetime": 3600,
    }
    item = {
        "metadata": {"name": "s", "labels": {"cmsaf.facility/server": "alice"}},
        "data": {"condor_token": "{{ lookup('file', here ~ '/token') | b64encode }}"},
    }
    copy = {"dest": "{{ here }}/secrets.json", "content": json.dumps({"items": [item]}), "mode": "0600"}
    paths = ["{{ here }}/*.pem", "{{ here }}/token", "{{ here }}/none", "{{ here }}/POOL"]
    results, said = play(
        tmp_path,
        [
            {"cmsaf.facility.htcondor_signing_key": {"path": "{{ here }}/POOL"}},
            {"cmsaf.facility.htcondor_idtoken": token},
            {"ansible.builtin.copy": copy, "no_log": True},
            {"cmsaf.facility.expiry_info": {"paths": paths, "secrets": cluster}},
            {"cmsaf.facility.expiry_info": {"paths": paths, "secrets": cluster}, "check_mode": True},
            {"cmsaf.facility.expiry_info": {"secrets": {**cluster, "namespace": "other"}}},
        ],
        "-vvv",
        PATH=f"{tmp_path}/bin:{os.environ['PATH']}",
    )
    for result in results[:5]:
        assert not result.get("failed"), result
    ends = results[3]["ends"]
    assert results[4]["ends"] == ends and not results[3]["changed"]
    assert [(end["wanted"].rpartition("/")[2], end["kind"], end["problem"]) for end in ends] == [
        ("*.pem", "certificate", ""),
        ("*.pem", "", "there is neither a certificate nor a token in it"),
        ("token", "IDTOKEN", ""),
        ("none", "", "No such file or directory"),
        ("POOL", "", "there is neither a certificate nor a token in it"),
        ("server", "IDTOKEN", ""),
    ]
    assert abs(ends[0]["ends_at"] - now - 30 * 86400) < 120
    assert ends[2]["ends_at"] == ends[2]["begins_at"] + 3600
    assert ends[5]["name"] == "alice" and ends[5]["ends_at"] == ends[2]["ends_at"]
    assert results[5]["ends"][0]["problem"] == "kubectl: Error from server (Forbidden): no"
    assert (tmp_path / "token").read_text(encoding="utf-8").strip() not in said
    assert "PRIVATE KEY" not in said
