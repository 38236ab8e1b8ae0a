# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The servers that a user is shown and may take; what is taken goes through KubeSpawner's own code."""

from __future__ import annotations

import asyncio
import doctest
import html.parser
import logging
from collections.abc import Iterable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from cmsaf_hub import configure, profiles
from cmsaf_hub.errors import SettingsError
from cmsaf_hub.hooks import Hooks
from cmsaf_hub.settings import Settings
from jupyterhub.objects import Hub
from jupyterhub.roles import get_default_roles
from kubernetes_asyncio.client import V1Container, V1ObjectMeta, V1Pod, V1PodSpec
from kubernetes_asyncio.client.exceptions import ApiException
from kubespawner import KubeSpawner
from tornado.web import HTTPError
from traitlets.config import Config

ANALYSIS, OTHER = "r.test/cmsaf/analysis@sha256:aa", "r.test/cmsaf/ml@sha256:bb"
USUAL = {"name": "Usual", "description": "For most.", "image": ANALYSIS, "cpu": 2, "memory": "8G", "default": True}
SMALL = {"name": "Small", "description": "For a look.", "image": ANALYSIS, "cpu": 0.5, "memory": "1.5G"}
GPU = {
    "name": "Learning (GPU)",
    "description": "With <b> & torch.",
    "image": OTHER,
    "cpu": 4.0,
    "memory": "32G",
    "gpu": {"nvidia.com/gpu": 1.0},
    "groups": ["ml", "admins"],
}
OPEN, CLOSED = {"name": "all", "claim": "shared-all"}, {"name": "higgs", "claim": "projects", "groups": ["higgs"]}
DASK = {"domain": "dask.af.test", "workerAddresses": [], "lifetime": 86400}
VALUES: dict[str, Any] = {
    "dask": DASK,
    "profiles": [USUAL, SMALL, GPU],
    "sessions": {"idle": 86400, "longest": 604800.0},
}


def hooks(**change: Any) -> Hooks:
    return Hooks(Settings.from_values({**VALUES, **change}))


class NoCluster:
    """Refuses whatever is asked."""

    def __getattr__(self, _name: str) -> Any:
        async def refuse(*_: Any, **__: Any) -> None:
            raise ApiException(status=403, reason="Forbidden")

        return refuse


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubespawner.spawner.load_config", lambda **_: None)
    monkeypatch.setattr("kubespawner.spawner.shared_client", lambda _: NoCluster())


def spawner(
    hooks: Hooks, groups: Iterable[str] = (), options: Any = None, name: str = "", **traits: Any
) -> KubeSpawner:
    """KubeSpawner with nothing behind it: no cluster, no hub."""
    user = SimpleNamespace(name="alice", id=1, url="/user/alice/", groups=[SimpleNamespace(name=one) for one in groups])
    user.escaped_name = user.name
    config = Config()
    config.KubeSpawner.profile_list = hooks.profile_list
    config.KubeSpawner.options_form = hooks.options_form
    known = {"user": user, "hub": Hub(base_url="/hub/"), "orm_spawner": SimpleNamespace(name=name, server=None)}
    made = KubeSpawner(config=config, namespace="hub", _mock=True, **known, **traits)
    made.user_options = options or {}
    return made


class Form(html.parser.HTMLParser):
    """What a browser makes of it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.radios: dict[str, bool] = {}
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "input":
            assert (found["type"], found["name"]) == ("radio", "profile")
            self.radios[str(found["value"])] = "checked" in found

    def handle_data(self, data: str) -> None:
        self.text += data


def shown(one: KubeSpawner) -> Form:
    return Form(asyncio.run(one.get_options_form()))


def take(one: KubeSpawner) -> KubeSpawner:
    """As far as the hub and KubeSpawner go before there is a pod."""

    async def start() -> None:
        await one.options_form.__self__.pre_spawn(one)
        await one.load_user_options()

    asyncio.run(start())
    return one


def test_doctests() -> None:
    found = doctest.testmod(profiles)
    assert found.attempted and not found.failed


@pytest.mark.parametrize(
    ("groups", "slugs"),
    [
        ([], ["usual", "small"]),
        (["cms"], ["usual", "small"]),
        (["cms", "ml"], ["usual", "small", "learning-gpu"]),
    ],
)
def test_what_the_groups_allow_is_shown_and_taken(groups: list[str], slugs: list[str]) -> None:
    found = shown(spawner(hooks(), groups))
    assert list(found.radios) == slugs
    assert [slug for slug, checked in found.radios.items() if checked] == ["usual"]
    for slug in slugs:
        take(spawner(hooks(), groups, {"profile": slug}))


@pytest.mark.parametrize("asked", ["learning-gpu", "nosuch", "Usual", ["usual"], {"usual": 1}, 7])
def test_anything_else_is_refused_before_something_is_made(asked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr("cmsaf_hub.credentials.certificates", lambda *_: made.append(1))
    with pytest.raises(HTTPError) as refused:
        take(spawner(hooks(), ["cms"], {"profile": asked}))
    assert refused.value.status_code == 403
    assert refused.value.jupyterhub_message.endswith("for you. Yours are: usual, small.")
    assert made == []


def test_kubespawner_refuses_it_too() -> None:
    """Were it asked without the hook before."""
    with pytest.raises(ValueError, match="No such profile: learning-gpu"):
        asyncio.run(spawner(hooks(), ["cms"], {"profile": "learning-gpu"}).load_user_options())


def test_a_profile_is_what_the_server_gets() -> None:
    found = take(spawner(hooks(), ["ml"], {"profile": "learning-gpu"}))
    assert (found.image, found.cpu_limit, found.mem_limit) == (OTHER, 4, 32 * 2**30)
    assert found.extra_resource_limits == {"nvidia.com/gpu": "1"}


def test_the_next_start_keeps_nothing_of_the_last() -> None:
    found = take(spawner(hooks(), ["ml"], {"profile": "learning-gpu"}))
    found.user_options = {"profile": "small"}
    take(found)
    assert (found.image, found.cpu_limit, found.mem_limit) == (ANALYSIS, 0.5, int(1.5 * 2**30))
    assert found.extra_resource_limits == {}


@pytest.mark.parametrize(("groups", "image"), [([], ANALYSIS), (["ml"], OTHER)])
def test_who_does_not_choose_gets_the_default_of_his_own(groups: list[str], image: str) -> None:
    one = hooks(profiles=[SMALL, {**USUAL, "default": False}, {**GPU, "default": True}])
    assert take(spawner(one, groups)).image == image
    assert [slug for slug, checked in shown(spawner(one, groups)).radios.items() if checked] == (
        ["learning-gpu"] if groups else ["small"]
    )


def test_the_last_choice_is_marked() -> None:
    assert shown(spawner(hooks(), options={"profile": "small"})).radios == {"usual": False, "small": True}
    assert shown(spawner(hooks(), options={"profile": "learning-gpu"})).radios == {"usual": True, "small": False}


def test_one_choice_is_no_question() -> None:
    one = hooks(profiles=[USUAL, GPU])
    assert asyncio.run(spawner(one).get_options_form()) == ""
    assert asyncio.run(spawner(one, options={"profile": "usual"}).get_options_form()) == ""
    # The hub would take it again without asking, and be refused again and again.
    assert shown(spawner(one, options={"profile": "learning-gpu"})).radios == {"usual": True}


def test_for_whom_there_is_no_server_hears_why() -> None:
    one = hooks(profiles=[GPU])
    for attempt in (lambda: asyncio.run(spawner(one).get_options_form()), lambda: take(spawner(one))):
        with pytest.raises(HTTPError) as refused:
            attempt()
        assert refused.value.status_code == 403
        assert "asks for a group that you are not in" in refused.value.jupyterhub_message


def test_the_form_is_in_words() -> None:
    text = " ".join(shown(spawner(hooks(), ["ml"])).text.split())
    for words in (
        "Usual For most. 2 cores · 8 GB of memory",
        "0.5 cores · 1.5 GB of memory",
        "Learning (GPU) With <b> & torch. 4 cores · 32 GB of memory · 1 GPU",
        "is stopped after 1 day, and every one after 7 days.",
    ):
        assert words in text
    assert "The server “second”" in shown(spawner(hooks(), name="second")).text
    assert "is stopped" not in shown(spawner(hooks(sessions=None))).text


def test_the_form_says_where_there_is_room() -> None:
    one = hooks()
    known = {"usual": profiles.Room(3, False, 600), "small": profiles.Room(0, True, 600)}
    text = " ".join(Form(profiles.form(one.settings.profiles, None, None, room=known)).text.split())
    assert "2 cores · 8 GB of memory · 3 of these could start now Small" in text
    assert "1.5 GB of memory · no room now on the machine that has your home: a start waits up to 10 minutes" in text
    assert "32 GB of memory · 1 GPU Your files" in text


def pod(image: str) -> V1Pod:
    labels = {"hub.jupyter.org/username": "alice"}
    return V1Pod(metadata=V1ObjectMeta(labels=labels), spec=V1PodSpec(containers=[V1Container(name="n", image=image)]))


@pytest.mark.parametrize("image", [ANALYSIS, OTHER])
def test_workers_are_of_the_image_of_the_server(image: str) -> None:
    condor = {"keyFile": "/k", "keyId": "k", "trustDomain": "p.test", "usersDomain": "u.test", "lifetime": 3600}
    for one, wanted in ((hooks(condor=condor), [image]), (hooks(), [])):
        changed = asyncio.run(one.modify_pod(spawner(one), pod(image)))
        variables = {item.name: item.value for item in changed.spec.containers[0].env}
        assert [value for name, value in variables.items() if name == "CMSAF_WORKER_IMAGE"] == wanted


@pytest.mark.parametrize(
    ("options", "wanted"),
    [({}, ANALYSIS), ({"profile": "small"}, "r.test/w@sha256:cc"), ({"profile": "usual"}, ANALYSIS)],
)
def test_workers_are_of_another_image_where_the_site_says_so(options: dict[str, str], wanted: str) -> None:
    condor = {"keyFile": "/k", "keyId": "k", "trustDomain": "p.test", "usersDomain": "u.test", "lifetime": 3600}
    one = hooks(condor=condor, profiles=[{**SMALL, "workerImage": "r.test/w@sha256:cc"}, USUAL])
    changed = asyncio.run(one.modify_pod(spawner(one, options=options), pod(ANALYSIS)))
    variables = {item.name: item.value for item in changed.spec.containers[0].env}
    assert variables["CMSAF_WORKER_IMAGE"] == wanted


def test_a_server_knows_how_long_it_stays() -> None:
    for one, wanted in (
        (hooks(), {"CMSAF_IDLE_SECONDS": "86400", "CMSAF_LONGEST_SECONDS": "604800"}),
        (hooks(sessions=None), {}),
    ):
        changed = asyncio.run(one.modify_pod(spawner(one), pod(ANALYSIS)))
        variables = {item.name: item.value for item in changed.spec.containers[0].env}
        assert {name: value for name, value in variables.items() if name.endswith("_SECONDS")} == wanted


@pytest.mark.parametrize(
    ("traits", "together"),
    [
        ({"storage_pvc_ensure": True, "pvc_name_template": "claim-{username}"}, True),
        ({"storage_pvc_ensure": True, "pvc_name_template": "claim-{user_server}"}, False),
        ({"storage_pvc_ensure": True, "pvc_name_template": "claim-{username}--{servername}"}, False),
        ({"storage_pvc_ensure": False, "pvc_name_template": "claim-{username}"}, False),
        (
            {
                "storage_pvc_ensure": True,
                "pvc_name_template": "claim-{username}",
                "storage_access_modes": ["ReadWriteMany"],
            },
            False,
        ),
    ],
)
def test_servers_with_one_disk_are_on_one_node(traits: dict[str, Any], together: bool) -> None:
    one = hooks()
    changed = asyncio.run(one.modify_pod(spawner(one, **traits), pod(ANALYSIS)))
    term = {"labelSelector": {"matchLabels": {"hub.jupyter.org/username": "alice"}}}
    term["topologyKey"] = "kubernetes.io/hostname"
    affinity = changed.spec.affinity
    found = affinity.pod_affinity.required_during_scheduling_ignored_during_execution if affinity else []
    assert found == ([term] if together else [])


def test_the_home_has_the_user_s_name_alone() -> None:
    """A named server has the home of the first one, and a user whose first server is not named loses nothing."""
    template = "claim-{username}"
    names = {spawner(hooks(), name=name, pvc_name_template=template).pvc_name for name in ("", "second")}
    assert names == {spawner(hooks(), pvc_name_template="claim-{user_server}").pvc_name} == {"claim-alice"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"profiles": USUAL}, r"profiles is \{.* it has to be a list of groups of values"),
        ({"profiles": [USUAL, {**SMALL, "name": ""}]}, r"profiles\[1\]\.name is ''"),
        ({"profiles": [{**USUAL, "name": "···"}]}, "has the name '···', it has to have letters or digits"),
        ({"profiles": [USUAL, {**SMALL, "name": "USUAL!"}]}, "by which it differs from all others"),
        ({"profiles": [USUAL, {**SMALL, "default": True}]}, "several with default"),
        ({"profiles": [{**USUAL, "cpu": "2"}]}, r"profiles\[0\]\.cpu is '2', it has to be a positive number"),
        ({"profiles": [{**USUAL, "memory": "8Gi"}]}, r"profiles\[0\]\.memory is '8Gi', it has to be like 8G"),
        ({"profiles": [{**USUAL, "gpu": {"x": 0.5}}]}, r"profiles\[0\]\.gpu is .* whole numbers by name"),
        ({"profiles": [{**USUAL, "group": ["x"]}]}, r"profiles\[0\] has unknown keys: group"),
        ({"shared": [{**OPEN, "name": "../x"}]}, r"shared\[0\]\.name is '../x', it has to be up to 40 of a-z"),
        ({"shared": [{"name": "x"}]}, r"shared\[0\]\.claim is None, it has to be a text"),
        ({"sessions": {"idle": 0, "longest": 1}}, r"sessions\.idle is 0"),
    ],
)
def test_wrong_profiles_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Settings.from_values({**VALUES, **change})


@pytest.mark.parametrize(
    ("groups", "claims"),
    [
        ([], {"/shared/all": "shared-all"}),
        (["cms", "higgs"], {"/shared/all": "shared-all", "/shared/higgs": "projects"}),
    ],
)
def test_what_the_groups_share_is_mounted(groups: list[str], claims: dict[str, str]) -> None:
    one = hooks(shared=[OPEN, CLOSED])
    changed = asyncio.run(one.modify_pod(spawner(one, groups), pod(ANALYSIS)))
    volumes = {item.name: item.persistent_volume_claim for item in changed.spec.volumes}
    mounts = [item for item in changed.spec.containers[0].volume_mounts if item.mount_path.startswith("/shared")]
    assert {item.mount_path: volumes[item.name].claim_name for item in mounts} == claims
    # A volume that nobody mounts would be in the pod all the same.
    assert len([claim for claim in volumes.values() if claim]) == len(claims)


def test_configure() -> None:
    config = Config()
    config.JupyterHub.template_paths = ["/of/the/site"]
    made = configure(config, VALUES)
    assert config.KubeSpawner.profile_list == made.profile_list
    assert config.KubeSpawner.options_form == made.options_form
    # Before JupyterHub's own, which come after all that is named here.
    assert config.JupyterHub.template_paths == [str(profiles.TEMPLATES), "/of/the/site"]
    assert made.settings.sessions == profiles.Sessions(timedelta(days=1), timedelta(days=7))
    # One more than what the hub lets servers ask by itself.
    (own,) = (role["scopes"] for role in get_default_roles() if role["name"] == "server")
    assert set(config.KubeSpawner.server_token_scopes) - set(own) == {"read:servers!user"}
    assert set(own) < set(config.KubeSpawner.server_token_scopes)


def test_two_lists_of_profiles_are_refused() -> None:
    config = Config()
    config.KubeSpawner.profile_list = [{"display_name": "x"}]
    with pytest.raises(SettingsError, match=r"both in singleuser\.profileList and in custom\.cmsaf\.profiles"):
        configure(config, VALUES)


def test_without_profiles_all_is_as_the_chart_has_it(caplog: pytest.LogCaptureFixture) -> None:
    config = Config()
    config.KubeSpawner.profile_list = [{"display_name": "x"}]
    made = configure(config, {"dask": DASK})
    assert config.KubeSpawner.profile_list == [{"display_name": "x"}]
    with caplog.at_level(logging.WARNING):
        asyncio.run(made.pre_spawn(spawner(made, options={"profile": "x"})))
    assert "Refused" not in caplog.text
