# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The values of ``custom.cmsaf``, checked once when the hub starts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, overload

from .errors import SettingsError
from .identity import Rules
from .profiles import Profile, Sessions, Shared

__all__ = ["Cache", "Condor", "Dask", "Login", "Settings", "SigningKey", "TokenService"]

_MEMORY = re.compile(r"[0-9]+(\.[0-9]+)?[MGT]")
_SPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_CILOGON = "https://cilogon.org"
# What each kind asks for, and in which claim names and groups come.
_SCOPES = {
    "cilogon": ("openid", "email", "profile", "org.cilogon.userinfo"),
    "oidc": ("openid", "email", "profile"),
}
_NAME_CLAIMS = {"cilogon": "eppn", "oidc": "preferred_username"}
_GROUPS_CLAIMS = {"cilogon": "isMemberOf", "oidc": "groups"}


@dataclass(frozen=True)
class TokenService:
    """Where users' tokens for the pool are made, and how the hub proves there that it is the hub."""

    url: str
    certificate_file: Path
    key_file: Path
    ca_file: Path


@dataclass(frozen=True)
class SigningKey:
    """A key of the pool that the hub itself signs with: for a pool that has no token service."""

    key_file: Path
    key_id: str
    trust_domain: str
    users_domain: str


@dataclass(frozen=True)
class Condor:
    """How a user gets known on the HTCondor pool."""

    source: TokenService | SigningKey
    lifetime: timedelta


@dataclass(frozen=True)
class Cache:
    """What a user may read through the cache."""

    secret_file: Path
    location: str
    path: str
    lifetime: timedelta


@dataclass(frozen=True)
class Dask:
    """Names and lifetime of a server's Dask certificates."""

    domain: str
    worker_addresses: tuple[str, ...]
    lifetime: timedelta


@dataclass(frozen=True)
class Login:
    """By whom people are known, and who of them may enter."""

    kind: str
    rules: Rules
    client_id: str
    client_secret_file: Path
    callback_url: str
    home_url: str
    scopes: tuple[str, ...]
    authorize_params: dict[str, str]
    session: timedelta
    refresh_every: timedelta
    end_provider_session: bool
    page: dict[str, str]
    ca_file: Path | None

    def client_secret(self) -> str:
        """What the hub proves itself with to the provider."""
        try:
            found = self.client_secret_file.read_text(encoding="utf-8").strip()
        except OSError as problem:
            raise SettingsError(
                f"The client's secret could not be read from {self.client_secret_file} ({problem.strerror});"
                " custom.cmsaf.login.clientSecretFile names the file."
            ) from None
        if not found:
            raise SettingsError(f"{self.client_secret_file} is empty; it has to hold the client's secret.")
        return found


@dataclass(frozen=True)
class Settings:
    """Everything the hooks know about the site."""

    dask: Dask
    condor: Condor | None
    cache: Cache | None
    login_password_file: Path | None
    renew_every: timedelta | None = None
    login: Login | None = None
    profiles: tuple[Profile, ...] = ()
    sessions: Sessions | None = None
    shared: tuple[Shared, ...] = ()

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Settings:
        """Read the chart's values; a wrong one is named."""
        taken = _Values("custom.cmsaf", values)
        dask = taken.section("dask") or _Values("custom.cmsaf.dask", {})
        condor = taken.section("condor")
        cache = taken.section("cache")
        password = taken.text("loginPasswordFile", required=False)
        every = taken.seconds("renewEvery", required=False)
        login = taken.section("login")
        profiles = taken.sections("profiles")
        sessions = taken.section("sessions")
        shared = taken.sections("shared")
        taken.finish()
        found = cls(
            dask=_dask(dask),
            condor=_condor(condor) if condor else None,
            cache=_cache(cache) if cache else None,
            login_password_file=Path(password) if password else None,
            renew_every=every,
            login=_login(login) if login else None,
            profiles=_profiles(profiles),
            sessions=_sessions(sessions) if sessions else None,
            shared=tuple(_shared(values) for values in shared),
        )
        found._check_renewal()
        return found

    @property
    def token_lifetime(self) -> timedelta | None:
        """Of the tokens that a server has, the shortest; nothing where it has none."""
        return min((part.lifetime for part in (self.condor, self.cache) if part is not None), default=None)

    @property
    def renewal_interval(self) -> timedelta | None:
        """The time from one renewal of a server's tokens to the next; nothing where there are none."""
        lifetime = self.token_lifetime
        return None if lifetime is None else self.renew_every or lifetime / 3

    def _check_renewal(self) -> None:
        every, lifetime = self.renew_every, self.token_lifetime
        if every and lifetime and every > lifetime / 2:
            raise SettingsError(
                f"custom.cmsaf.renewEvery is {every.total_seconds():.0f}, it has to be at most half of the shortest"
                f" lifetime of a token, {lifetime.total_seconds():.0f}: a renewal that fails needs time for another."
            )

    def login_password(self) -> str:
        """The shared password of a facility without a login service, or nothing."""
        if self.login_password_file is None:
            return ""
        try:
            return self.login_password_file.read_text(encoding="utf-8").strip()
        except OSError as problem:
            raise SettingsError(
                f"The login password could not be read from {self.login_password_file}"
                f" ({problem.strerror}); custom.cmsaf.loginPasswordFile names the file."
            ) from None


def _dask(values: _Values) -> Dask:
    dask = Dask(
        domain=values.text("domain"),
        worker_addresses=values.texts("workerAddresses"),
        lifetime=values.seconds("lifetime"),
    )
    values.finish()
    return dask


def _condor(values: _Values) -> Condor:
    service = values.section("tokenService")
    source = _token_service(service) if service else _signing_key(values)
    condor = Condor(source=source, lifetime=values.seconds("lifetime"))
    # What is left of a signing key beside a token service is an error, not a second choice.
    values.finish()
    return condor


def _token_service(values: _Values) -> TokenService:
    service = TokenService(
        url=values.text("url").rstrip("/"),
        certificate_file=Path(values.text("certificateFile")),
        key_file=Path(values.text("keyFile")),
        ca_file=Path(values.text("caFile")),
    )
    values.finish()
    if not service.url.startswith("https://"):
        raise SettingsError(f"{values.name}.url is {service.url!r}, it has to begin with https://.")
    return service


def _signing_key(values: _Values) -> SigningKey:
    return SigningKey(
        key_file=Path(values.text("keyFile")),
        key_id=values.text("keyId"),
        trust_domain=values.text("trustDomain"),
        users_domain=values.text("usersDomain"),
    )


def _cache(values: _Values) -> Cache:
    cache = Cache(
        secret_file=Path(values.text("secretFile")),
        location=values.text("location"),
        path=values.text("path"),
        lifetime=values.seconds("lifetime"),
    )
    values.finish()
    return cache


def _login(values: _Values) -> Login:
    kind = values.text("kind")
    if kind not in _SCOPES:
        raise SettingsError(f"{values.name}.kind is {kind!r}, it has to be cilogon or oidc.")
    home = values.text("homeUrl")
    page = values.section("page") or _Values(f"{values.name}.page", {})
    ca_file = values.text("caFile", required=False)
    login = Login(
        kind=kind,
        rules=_rules(values, kind),
        client_id=values.text("clientId"),
        client_secret_file=Path(values.text("clientSecretFile")),
        callback_url=f"{home.rstrip('/')}/hub/oauth_callback",
        home_url=home,
        scopes=values.texts("scopes") or _SCOPES[kind],
        authorize_params=values.pairs("authorizeParams"),
        session=values.seconds("session"),
        refresh_every=values.seconds("refreshEvery"),
        end_provider_session=values.switch("endProviderSession"),
        page={
            name: page.text(name, required=False) for name in ("title", "text", "shared", "contact", "logo", "service")
        },
        ca_file=Path(ca_file) if ca_file else None,
    )
    page.finish()
    values.finish()
    for name, url in (("issuer", login.rules.issuer), ("homeUrl", home)):
        if not url.startswith("https://"):
            raise SettingsError(f"{values.name}.{name} is {url!r}, it has to begin with https://.")
    if kind == "cilogon" and not login.rules.providers:
        raise SettingsError(f"{values.name}.providers is empty, it has to name the identity providers that are taken.")
    return login


def _rules(values: _Values, kind: str) -> Rules:
    providers = values.section("providers")
    return Rules(
        issuer=values.text("issuer", required=False) or (_CILOGON if kind == "cilogon" else ""),
        name_claim=values.text("nameClaim", required=False) or _NAME_CLAIMS[kind],
        groups_claim=values.text("groupsClaim", required=False) or _GROUPS_CLAIMS[kind],
        providers=providers.all_texts() if providers else {},
        local_domain=values.text("localDomain", required=False),
        allowed_groups=frozenset(values.texts("allowedGroups")),
        allowed_users=frozenset(values.texts("allowedUsers")),
        admins=frozenset(values.texts("admins")),
        everybody=values.switch("everybody"),
    )


def _profiles(sections: list[_Values]) -> tuple[Profile, ...]:
    profiles = tuple(_profile(values) for values in sections)
    slugs = [profile.slug for profile in profiles]
    for profile in profiles:
        if not profile.slug or slugs.count(profile.slug) > 1:
            raise SettingsError(
                f"custom.cmsaf.profiles has the name {profile.name!r}, it has to have letters or digits of ASCII, by"
                " which it differs from all others."
            )
    if sum(profile.default for profile in profiles) > 1:
        raise SettingsError("custom.cmsaf.profiles has several with default, it has to be one at most.")
    return profiles


def _profile(values: _Values) -> Profile:
    profile = Profile(
        name=values.text("name"),
        description=values.text("description"),
        image=values.text("image"),
        cpu=values.number("cpu"),
        memory=values.text("memory"),
        gpu=values.counts("gpu"),
        groups=frozenset(values.texts("groups")),
        default=values.switch("default"),
        worker_image=values.text("workerImage", required=False),
    )
    values.finish()
    if not _MEMORY.fullmatch(profile.memory):
        raise SettingsError(f"{values.name}.memory is {profile.memory!r}, it has to be like 8G.")
    return profile


def _sessions(values: _Values) -> Sessions:
    sessions = Sessions(idle=values.seconds("idle"), longest=values.seconds("longest"))
    values.finish()
    return sessions


def _shared(values: _Values) -> Shared:
    space = Shared(name=values.text("name"), claim=values.text("claim"), groups=frozenset(values.texts("groups")))
    values.finish()
    if not _SPACE.fullmatch(space.name):
        raise SettingsError(f"{values.name}.name is {space.name!r}, it has to be up to 40 of a-z, 0-9 and -.")
    return space


class _Values:
    """One level of the values; remembers its name for messages."""

    def __init__(self, name: str, values: Mapping[str, Any]) -> None:
        self.name = name
        self._left = dict(values)

    def section(self, key: str) -> _Values | None:
        value = self._left.pop(key, None)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise self._wrong(key, value, "a group of values")
        return _Values(f"{self.name}.{key}", value)

    def sections(self, key: str) -> list[_Values]:
        value = self._left.pop(key, None) or []
        if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
            raise self._wrong(key, value, "a list of groups of values")
        return [_Values(f"{self.name}.{key}[{number}]", item) for number, item in enumerate(value)]

    def text(self, key: str, *, required: bool = True) -> str:
        value = self._left.pop(key, None)
        if value in (None, "") and not required:
            return ""
        if not isinstance(value, str) or not value:
            raise self._wrong(key, value, "a text")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._left.pop(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(key, value, "a list of texts")
        return tuple(value)

    def all_texts(self) -> dict[str, tuple[str, ...]]:
        """A list of texts for each key that is there."""
        return {key: self.texts(key) for key in list(self._left)}

    def pairs(self, key: str) -> dict[str, str]:
        value = self._left.pop(key, None) or {}
        if not isinstance(value, Mapping) or not all(isinstance(item, str) for item in value.values()):
            raise self._wrong(key, value, "texts by name")
        return dict(value)

    def counts(self, key: str) -> dict[str, int]:
        value = self._left.pop(key, None) or {}
        if not isinstance(value, Mapping) or not all(_positive(item) and item == int(item) for item in value.values()):
            raise self._wrong(key, value, "whole numbers by name")
        return {name: int(count) for name, count in value.items()}

    def number(self, key: str) -> float:
        value = self._left.pop(key, None)
        if not _positive(value):
            raise self._wrong(key, value, "a positive number")
        return float(value)

    def switch(self, key: str) -> bool:
        value = self._left.pop(key, False)
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    @overload
    def seconds(self, key: str) -> timedelta: ...

    @overload
    def seconds(self, key: str, *, required: bool) -> timedelta | None: ...

    def seconds(self, key: str, *, required: bool = True) -> timedelta | None:
        value = self._left.pop(key, None)
        if value is None and not required:
            return None
        # Helm hands whole numbers on as floats when they come from a file.
        if not _positive(value):
            raise self._wrong(key, value, "a positive number of seconds")
        return timedelta(seconds=int(value))

    def finish(self) -> None:
        if self._left:
            raise SettingsError(f"{self.name} has unknown keys: {', '.join(sorted(self._left))}.")

    def _wrong(self, key: str, value: Any, wanted: str) -> SettingsError:
        return SettingsError(f"{self.name}.{key} is {value!r}, it has to be {wanted}.")


def _positive(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0
