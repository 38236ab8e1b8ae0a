# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Login by CILogon or another OpenID Connect provider.

Beside what oauthenticator does, the ID token's issuer, audience and nonce are checked, who may
enter is asked again at every renewal, a name belongs to the first identity that took it, and
renewals of one user wait for each other: a provider takes a refresh token only once.

Whose login is over has to sign in again. JupyterHub asks that of browsers only and goes on for
API tokens; here a server does not start for them, as it starts with credentials of its user.
Who may not enter any more is no admin and in no group at once, and his servers' tokens are not
renewed.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from weakref import WeakValueDictionary

import certifi
import jwt
from oauthenticator.cilogon import CILogonLoginHandler, CILogonOAuthenticator
from oauthenticator.generic import GenericOAuthenticator
from oauthenticator.oauth2 import OAuthCallbackHandler, OAuthLoginHandler, OAuthLogoutHandler, _deserialize_state
from tornado import web
from tornado.httpclient import HTTPClientError
from traitlets import Any as AnyTrait

from .identity import Refused, groups_of, identity_of, name_of, refusal
from .refused import RefusedUsers
from .settings import Login
from .web import forbidden, show_first

__all__ = ["CILogon", "OpenIDConnect", "configure"]

_TEMPLATES = Path(__file__).parent / "templates"
_IDENTITY, _SINCE = "cmsaf_identity", "cmsaf_since"
# Seconds; what else is asked for in the same moment need not ask the provider again.
_JUST_NOW = 30.0
# Seconds in which a provider that has not answered is not asked for anybody: each question would hold up a page for ten.
_AWAY = 30.0


class _Login:
    """What both authenticators have in common; stands before oauthenticator's own class."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._endpoints: dict[str, Any] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._checked: dict[str, float] = {}
        self._over: set[str] = set()
        self._refused = RefusedUsers()
        self._away_until = 0.0

    async def discover(self) -> dict[str, Any]:
        """Learn the provider's addresses when they are needed first: a hub starts without it."""
        if not self._endpoints:
            issuer = self.settings.rules.issuer
            found = await self.httpfetch(
                f"{issuer.rstrip('/')}/.well-known/openid-configuration", "Asking the provider"
            )
            if found.get("issuer") != issuer:
                raise web.HTTPError(502, f"The provider at {issuer} calls itself {found.get('issuer')!r}")
            self.authorize_url = found["authorization_endpoint"]
            self.token_url = found["token_endpoint"]
            self.userdata_url = found["userinfo_endpoint"]
            if self.settings.end_provider_session and "end_session_endpoint" in found:
                query = {"client_id": self.client_id, "post_logout_redirect_uri": self.settings.home_url}
                self.logout_redirect_url = f"{found['end_session_endpoint']}?{urlencode(query)}"
            self._endpoints = found
        return self._endpoints

    async def get_token_info(self, handler: Any, params: dict[str, Any]) -> dict[str, Any]:
        await self.discover()
        try:
            found = await super().get_token_info(handler, params)
        except (HTTPClientError, OSError) as problem:
            # Of a refresh, oauthenticator takes it for a refusal.
            if getattr(problem, "code", 599) >= 500:
                self._is_away()
            raise
        if params["grant_type"] == "authorization_code":
            self._check_id_token(found, _nonce(_deserialize_state(handler.get_state_cookie()).get("state_id", "")))
        return found

    def _check_id_token(self, found: dict[str, Any], nonce: str) -> None:
        """The token came from the provider itself, over TLS, so its signature is not needed; what it says is."""
        try:
            claims = jwt.decode(
                found.get("id_token", ""),
                audience=self.client_id,
                issuer=self.settings.rules.issuer,
                options={"verify_signature": False, "require": ["exp", "iss", "aud", "sub", "nonce"]}
                | {f"verify_{name}": True for name in ("exp", "iss", "aud")},
            )
        except jwt.PyJWTError as problem:
            raise web.HTTPError(400, f"The provider's ID token is not good: {problem}") from None
        if claims["nonce"] != nonce:
            raise web.HTTPError(400, "The provider's ID token is of another login")
        found["cmsaf_subject"] = claims["sub"]

    async def token_to_user(self, token_info: dict[str, Any]) -> dict[str, Any]:
        await self.discover()
        claims = await super().token_to_user(token_info)
        if token_info.get("cmsaf_subject", claims.get("sub")) != claims.get("sub"):
            raise web.HTTPError(400, "The provider speaks of another person than its ID token")
        return claims

    def user_info_to_username(self, user_info: dict[str, Any]) -> str:
        try:
            return name_of(self.settings.rules, user_info)
        except Refused as why:
            self.log.warning("Refused %r of provider %r: %s", user_info.get("sub"), user_info.get("idp"), why)
            raise forbidden(str(why)) from None

    async def update_auth_model(self, auth_model: dict[str, Any]) -> dict[str, Any]:
        state = auth_model["auth_state"]
        rules, claims = self.settings.rules, state[self.user_auth_state_key]
        state[_IDENTITY] = list(identity_of(rules, claims))
        state[_SINCE] = time.time()
        # Not None, which would leave somebody an admin who is not on the list any more.
        auth_model["admin"] = auth_model["name"] in rules.admins
        auth_model["groups"] = sorted(groups_of(rules, claims))
        return auth_model

    async def _apply_managed_groups(self, auth_model: dict[str, Any]) -> dict[str, Any]:
        return auth_model  # they are there: see above

    async def check_allowed(self, username: str, auth_model: dict[str, Any]) -> bool:
        why = refusal(self.settings.rules, username, frozenset(auth_model["groups"]))
        if why:
            self.log.warning("Refused %s: not allowed", username)
            raise forbidden(why)
        return True

    async def authenticate(self, handler: Any, data: Any = None, **options: Any) -> Any:
        model = await super().authenticate(handler, data, **options)
        user = handler.find_user(model["name"])
        state = await user.get_auth_state() if user else None
        taken = (state or {}).get(_IDENTITY)
        if taken and taken != model["auth_state"][_IDENTITY]:
            self.log.warning("Refused %s: the name belongs to %s", model["name"], taken)
            raise forbidden(
                f"The name {model['name']} belongs to another identity here. If you changed your identity provider,"
                " ask the facility's administrators to move your name."
            )
        self._let_in(model["name"])
        self._checked[model["name"]] = time.monotonic()
        return model

    def pre_spawn_start(self, user: Any, spawner: Any) -> Any:
        """JupyterHub has had the login renewed just before, and goes on without one for API tokens and admins."""
        if user.name in self._over:
            raise forbidden(
                f"The login of {user.name} is over, and a server starts with its user's own credentials:"
                f" sign in by a browser at {self.settings.home_url} first."
            )
        return super().pre_spawn_start(user, spawner)

    async def refresh_user(self, user: Any, handler: Any = None, **options: Any) -> Any:
        lock = self._locks.setdefault(user.name, asyncio.Lock())
        async with lock:
            just_now = min(_JUST_NOW, self.settings.refresh_every.total_seconds() / 2)
            if time.monotonic() - self._checked.get(user.name, -just_now) < just_now:
                return True
            found = await self._refresh(user, handler)
            if found:
                self._let_in(user.name)
            else:
                self._over.add(user.name)
            return found

    async def _refresh(self, user: Any, handler: Any) -> Any:
        before = await user.get_auth_state() or {}
        if not before.get("token_response"):
            return False  # logged out, or never logged in
        if not before.get("refresh_token") or time.monotonic() < self._away_until:
            return await self._without_provider(user, handler, before)
        try:
            model = await super().refresh_user(user, handler)
        except web.HTTPError as problem:
            self.log.warning("Renewal of %s: %s", user.name, problem)
            if problem.status_code == 403:
                return await self._shut_out(user, handler, before)
            return await self._without_provider(user, handler, before)
        except (HTTPClientError, OSError) as problem:
            self.log.warning("Renewal of %s: the provider does not answer (%s)", user.name, problem)
            self._is_away()
            return await self._without_provider(user, handler, before)
        if not isinstance(model, dict):
            return await self._without_provider(user, handler, before) if time.monotonic() < self._away_until else False
        state = model["auth_state"]
        if model["name"] != user.name or state[_IDENTITY] != before.get(_IDENTITY):
            self.log.warning("Renewal of %s: the provider speaks of somebody else", user.name)
            return False
        if refusal(self.settings.rules, user.name, frozenset(model["groups"])):
            return await self._shut_out(user, handler, state)
        # Kept before anybody else renews: the token before this one is used up.
        await user.save_auth_state(state)
        self._checked[user.name] = time.monotonic()
        return model

    async def _without_provider(self, user: Any, handler: Any, state: dict[str, Any]) -> Any:
        """Nothing to renew with, or nobody to ask: who was good is good until his session ends, by the rules of now."""
        rules, claims = self.settings.rules, state[self.user_auth_state_key]
        groups = groups_of(rules, claims)
        try:
            identity_of(rules, claims)
            why = refusal(rules, user.name, groups)
        except Refused as problem:
            why = str(problem)
        if why:
            return await self._shut_out(user, handler, state)
        if time.time() - state.get(_SINCE, 0) >= self.settings.session.total_seconds():
            return False
        return {"name": user.name, "admin": user.name in rules.admins, "groups": sorted(groups), "auth_state": state}

    async def _shut_out(self, user: Any, handler: Any, state: dict[str, Any]) -> bool:
        self.log.warning("Renewal of %s: not allowed any more", user.name)
        self._refused.add(user.name)
        await handler.auth_to_user({"name": user.name, "admin": False, "groups": [], "auth_state": state}, user)
        return False

    def _let_in(self, name: str) -> None:
        self._refused.discard(name)
        self._over.discard(name)

    def _is_away(self) -> None:
        self._away_until = time.monotonic() + min(_AWAY, self.settings.refresh_every.total_seconds())

    async def forget(self, user: Any) -> None:
        """At log-out the tokens go; whose name it is stays."""
        state = await user.get_auth_state() or {}
        self._checked.pop(user.name, None)
        await user.save_auth_state({_IDENTITY: state[_IDENTITY]} if _IDENTITY in state else {})


class _LoginHandler:
    """Sends the browser to the provider, with a nonce that belongs to the state in its cookie."""

    async def get(self) -> None:
        await self.authenticator.discover()
        super().get()

    def authorize_redirect(self, *args: Any, **options: Any) -> Any:
        params = options.setdefault("extra_params", {})
        params["nonce"] = _nonce(_deserialize_state(params["state"])["state_id"])
        params.update(self.authenticator.settings.authorize_params)
        return super().authorize_redirect(*args, **options)


class _CILogonHandler(_LoginHandler, CILogonLoginHandler):
    pass


class _OpenIDConnectHandler(_LoginHandler, OAuthLoginHandler):
    pass


class _LogoutHandler(OAuthLogoutHandler):
    async def handle_logout(self) -> None:
        await super().handle_logout()
        if self.current_user:
            await self.authenticator.forget(self.current_user)
        try:
            await self.authenticator.discover()
        except (HTTPClientError, OSError, web.HTTPError):
            self.log.warning("Log-out: the provider does not answer, its own session stays")


class CILogon(_Login, CILogonOAuthenticator):
    """CILogon, with its choice of identity providers."""

    settings = AnyTrait(config=True)
    login_handler = _CILogonHandler
    callback_handler = OAuthCallbackHandler
    logout_handler = _LogoutHandler


class OpenIDConnect(_Login, GenericOAuthenticator):
    """Any provider that can be found by its issuer."""

    settings = AnyTrait(config=True)
    login_handler = _OpenIDConnectHandler
    callback_handler = OAuthCallbackHandler
    logout_handler = _LogoutHandler


def configure(config: Any, login: Login) -> None:
    """Put the settings where JupyterHub looks for them."""
    rules = login.rules
    config.JupyterHub.authenticator_class = CILogon if login.kind == "cilogon" else OpenIDConnect
    show_first(config, _TEMPLATES)
    config.JupyterHub.template_vars = {"cmsaf": login.page}
    # In days, which is what JupyterHub counts in.
    config.JupyterHub.cookie_max_age_days = login.session.total_seconds() / 86400
    config.Authenticator.allow_all = False
    config.Authenticator.admin_users = set(rules.admins)
    config.Authenticator.enable_auth_state = True
    config.Authenticator.manage_groups = True
    config.Authenticator.auth_refresh_age = int(login.refresh_every.total_seconds())
    config.Authenticator.refresh_pre_spawn = True
    own = config.CILogon if login.kind == "cilogon" else config.OpenIDConnect
    own.settings = login
    own.client_id = login.client_id
    own.client_secret = login.client_secret()
    own.oauth_callback_url = login.callback_url
    own.scope = list(login.scopes)
    own.login_service = login.page["service"]
    own.http_request_kwargs = {"ca_certs": str(login.ca_file or certifi.where()), "connect_timeout": 10.0}
    if login.kind == "cilogon":
        own.idps = {name: {"username_derivation": {"username_claim": rules.name_claim}} for name in rules.providers}


def _nonce(state_id: str) -> str:
    return hashlib.sha256(f"nonce {state_id}".encode()).hexdigest()
