# SPDX-License-Identifier: GPL-3.0-or-later
"""Good places for backups, and a table of what can be wrong with one."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ansible_collections.cmsaf.facility.plugins.plugin_utils._site_backup import Backup, mistakes
from ansible_collections.cmsaf.facility.plugins.plugin_utils._site_check import Site, problems

GOOD = Backup(
    repository="/srv/backup",
    host="b1",
    keep={"last": 3, "daily": 7},
    percent=100,
    files=[{"group": "issuer", "path": "/etc/issuer/key.json"}],
    groups={"all": ["b1", "i1"], "issuer": ["i1"]},
)


def texts(**change: Any) -> list[str]:
    return [f"{variable}: {found}. {fix}" for variable, found, fix in mistakes(dataclasses.replace(GOOD, **change))]


BAD = [
    ({"repository": "srv/backup"}, "backup_repository: 'srv/backup'. Set a directory"),
    ({"repository": "/"}, "backup_repository: '/'. Set a directory"),
    ({"repository": "/srv/my backup"}, "backup_repository: '/srv/my backup'. Set a directory"),
    ({"repository": "s3:s3.example.org/backup", "host": ""}, "backup_repository: 's3:s3.example.org/backup'. Set"),
    ({"repository": "s3:https://s3.example.org", "host": ""}, "backup_repository: 's3:https://s3.example.org'. Set"),
    ({"repository": "sftp:user@host:/srv", "host": ""}, "backup_repository: 'sftp:user@host:/srv'. Set"),
    ({"repository": "s3:https://s3.example.org/backup"}, "backup_host: 'b1', but the backups are in a bucket. Remove"),
    ({"host": ""}, "backup_host: '', which is no host of the inventory. Set the host"),
    ({"host": "other"}, "backup_host: 'other', which is no host of the inventory. Set the host"),
    ({"keep": {"hourly": 3, "last": 1}}, "backup_keep.hourly: 3. Remove it: known are last, daily, weekly"),
    ({"keep": {"last": 1, "daily": -1}}, "backup_keep.daily: -1. Set how many backups are kept"),
    ({"keep": {"last": 1, "daily": "many"}}, "backup_keep.daily: 'many'. Set how many backups are kept"),
    ({"keep": {"last": 0}}, "backup_keep: nothing that is kept. Set one of its numbers"),
    ({"percent": 0}, "backup_read_data_percent: 0. Set 1 to 100"),
    ({"percent": 101}, "backup_read_data_percent: 101. Set 1 to 100"),
    ({"files": [{"group": "none", "path": "/a"}]}, "backup_files[0].group: 'none', which has no hosts. Set a group"),
    ({"files": [{"group": "issuer", "path": "a"}]}, "backup_files[0].path: 'a'. Set the whole path"),
]


@pytest.mark.parametrize(("change", "said"), BAD, ids=[said[:50] for _, said in BAD])
def test_what_is_wrong_is_said_once(change: dict[str, Any], said: str) -> None:
    found = texts(**change)
    assert len(found) == 1 and found[0].startswith(said)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"repository": "", "host": ""},
        {"repository": "s3:https://s3.example.org/backup/af", "host": ""},
        {"repository": "s3:http://10.0.0.1:9000/backup", "host": ""},
        {"keep": {"monthly": 12}, "percent": 1, "files": []},
    ],
)
def test_a_good_place_has_no_mistake(change: dict[str, Any]) -> None:
    assert texts(**change) == []


def test_the_check_of_the_site_hands_all_of_it_over() -> None:
    hosts = {"b1": {"backup_repository": "backup", "backup_read_data_percent": 0}}
    defaults = {"backup_host": "", "backup_keep": {"last": 0}, "backup_files": []}
    site = Site(groups={"all": ["b1"]}, values=hosts, known=frozenset({*hosts["b1"], *defaults}), defaults=defaults)
    found = [problem.variable for problem in problems(site) if problem.variable.startswith("backup_")]
    assert found == ["backup_repository", "backup_keep", "backup_read_data_percent"]
