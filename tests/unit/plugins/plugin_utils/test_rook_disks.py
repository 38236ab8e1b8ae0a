# SPDX-License-Identifier: GPL-3.0-or-later
"""The disks of all storage hosts, as they are shown and as an inventory has them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.cmsaf.facility.plugins.filter.rook_disk_choice import rook_disk_choice

BY_ID = "/dev/disk/by-id/"


def disk(state: str, device: str, name: str, reason: str = "", **change: Any) -> dict[str, Any]:
    common = {"path": "", "size": 10**13, "device_class": "hdd", "model": "ST10000", "serial": f"S{name[-1:]}"}
    named = {"state": state, "device": device, "name": name and BY_ID + name, "reason": reason}
    return {**common, **named, **change}


FOUND = {
    "w2": [
        disk("no", "/dev/sda", "wwn-a", "in use: mounted at /", size=480 * 10**9, device_class="ssd", model="MZ7"),
        disk("chosen", "/dev/sdb", "wwn-b"),
    ],
    "w1": [
        disk("named", "/dev/sdb", "wwn-c", path=f"{BY_ID}ata-c"),
        disk("chosen", "/dev/nvme0n1", "nvme-eui.d", device_class="nvme"),
    ],
}
NAMED: dict[str, list[dict[str, Any]]] = {
    "w1": [{"path": f"{BY_ID}ata-c", "device_class": "big"}],
    "w2": [],
    # One that did not answer keeps what it has, and one without disks is left out.
    "w3": [{"path": f"{BY_ID}wwn-e"}],
    "w4": [],
}


def test_table() -> None:
    made = rook_disk_choice(FOUND, NAMED)
    assert made["table"] == [
        "state   host  disk     size      class  model    name        why not",
        "chosen  w1    nvme0n1  10.00 TB  nvme   ST10000  nvme-eui.d",
        "chosen  w2    sdb      10.00 TB  hdd    ST10000  wwn-b",
        "no      w2    sda      480 GB    ssd    MZ7      wwn-a       in use: mounted at /",
    ]
    assert made["counts"] == "2 chosen, 1 not, 1 in rook_disks already"


def test_inventory_has_what_was_named_and_what_is_chosen() -> None:
    text = rook_disk_choice(FOUND, NAMED)["inventory"]
    assert yaml.safe_load(text) == {
        "storage": {
            "hosts": {
                "w1": {"rook_disks": [*NAMED["w1"], {"path": f"{BY_ID}nvme-eui.d", "device_class": "nvme"}]},
                "w2": {"rook_disks": [{"path": f"{BY_ID}wwn-b", "device_class": "hdd"}]},
                "w3": {"rook_disks": NAMED["w3"]},
            }
        }
    }
    assert "} # 10.00 TB ST10000 Sb\n" in text


def test_only_what_is_new_differs_from_the_last_file() -> None:
    before = rook_disk_choice(FOUND, NAMED)["inventory"]
    named = {
        host: [dict(disk) for disk in at["rook_disks"]]
        for host, at in yaml.safe_load(before)["storage"]["hosts"].items()
    }
    found = {
        host: [
            {**disk, "state": "named", "path": disk["path"] or disk["name"]} if disk["state"] == "chosen" else disk
            for disk in disks
        ]
        for host, disks in FOUND.items()
    }
    assert rook_disk_choice(found, named)["inventory"] == before
    new = rook_disk_choice({**found, "w2": [*found["w2"], disk("chosen", "/dev/sdx", "wwn-x")]}, named)["inventory"]
    assert set(new.splitlines()) - set(before.splitlines()) == {
        f'        - {{"path": "{BY_ID}wwn-x", "device_class": "hdd"}} # 10.00 TB ST10000 Sx'
    }


def test_a_disk_that_several_hosts_see_is_chosen_on_none() -> None:
    found = {host: [disk("chosen", "/dev/sdb", "wwn-s")] for host in ("w1", "w2")}
    made = rook_disk_choice(found, NAMED)
    assert [line.split("wwn-s")[1].strip() for line in made["table"][1:]] == ["w2 has it too", "w1 has it too"]
    assert "wwn-s" not in made["inventory"] and made["counts"].startswith("0 chosen, 2 not")


def test_what_another_host_has_named_is_not_chosen() -> None:
    found = {"w1": [disk("named", "/dev/sdb", "wwn-s")], "w2": [disk("chosen", "/dev/sdb", "wwn-s")]}
    assert rook_disk_choice(found, NAMED)["counts"] == "0 chosen, 1 not, 1 in rook_disks already"


def test_disks_without_names_are_not_each_other() -> None:
    found = {host: [disk("no", "/dev/vdb", "", "no name")] for host in ("w1", "w2")}
    assert [line.split()[-2:] for line in rook_disk_choice(found, {})["table"][1:]] == [["no", "name"]] * 2


def test_nothing_found() -> None:
    made = rook_disk_choice({}, {"w1": []})
    assert len(made["table"]) == 1 and yaml.safe_load(made["inventory"]) == {"storage": {"hosts": None}}


def test_what_no_module_found_is_refused() -> None:
    with pytest.raises(AnsibleFilterError, match="See rook_disks"):
        rook_disk_choice({"w1": [{"device": "/dev/sdb"}]}, {})
