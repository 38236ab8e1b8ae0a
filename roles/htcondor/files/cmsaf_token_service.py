# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Mints users' tokens for the hub, so that the hub holds no key of the pool.

Runs on the access point beside the key. Whoever knows a key in a daemon's
passwords.d can be anybody at that daemon, so the key stays here: the hub shows
its certificate and gets a token of one user, for a limited time.

Stands on cmsaf_mint, which is the collection's plugins/module_utils.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from aiohttp import web
from cmsaf_mint import _idtoken, _token_request

__all__ = ["Pool", "Service", "main", "tls"]

_LOG = logging.getLogger("cmsaf-token-service")
# Longer than the hub keeps an idle connection, so that it is the hub who ends it.
_KEPT = 75.0
_NO_STORE = {"Cache-Control": "no-store"}
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Pool:
    """What every token has in common."""

    issuer: str
    users_domain: str
    key_id: str
    lifetime: int


class Service:
    """Answers requests of one client, known by the name in its certificate."""

    def __init__(self, pool: Pool, key: bytes, client: str) -> None:
        # A key that cannot sign is better found at the start than by the first user.
        _idtoken.signing_key(key, pool.key_id)
        self._pool, self._key, self._client = pool, key, client

    def application(self) -> web.Application:
        """Make the application: one path, and JSON for every mistake."""
        application = web.Application(
            middlewares=[_json_errors, self._known_client], client_max_size=_token_request.LARGEST_REQUEST
        )
        application.router.add_post(_token_request.PATH, self._token)
        return application

    @web.middleware
    async def _known_client(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        names = _names(request)
        if names != [f"DNS:{self._client}"]:
            raise web.HTTPForbidden(
                text=f"the certificate is of {', '.join(names) or 'nobody'}, tokens are given to DNS:{self._client} alone"
            )
        return await handler(request)

    async def _token(self, request: web.Request) -> web.StreamResponse:
        try:
            asked = _token_request.read_request(await request.read(), self._pool.lifetime)
        except _token_request.RequestError as problem:
            raise web.HTTPBadRequest(text=str(problem)) from None
        token = _idtoken.mint(
            key=self._key,
            key_id=self._pool.key_id,
            issuer=self._pool.issuer,
            identity=f"{asked.user}@{self._pool.users_domain}",
            lifetime=asked.lifetime,
            scopes=_token_request.SCOPES,
        )
        made = _idtoken.parse(token)
        _LOG.info(
            "minted user=%s jti=%s ends=%s client=%s from=%s",
            *(asked.user, made.token_id, _time(made.expires_at), self._client, request.remote),
        )
        return web.json_response({"token": token, "expires_at": made.expires_at}, headers=_NO_STORE)


@web.middleware
async def _json_errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as problem:
        _LOG.warning("refused status=%d from=%s: %s", problem.status, request.remote, problem.text)
        return web.json_response({"error": problem.text}, status=problem.status, headers=_NO_STORE)


def _names(request: web.Request) -> list[str]:
    certificate = (request.transport.get_extra_info("peercert") if request.transport else None) or {}
    return [f"{kind}:{name}" for kind, name in certificate.get("subjectAltName", ())]


def _time(seconds: int | None) -> str:
    return datetime.fromtimestamp(seconds or 0, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def tls(certificate: Path, key: Path, authority: Path, revoked: Path) -> ssl.SSLContext:
    """Make the server's side of TLS: no client without a certificate of the facility's authority, or with one that it revoked.

    REVOKED is the authority's list (RFC 5280, section 5) as PEM. Without it, and when it has ended, nobody is served.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(cafile=authority)
    context.load_verify_locations(cafile=revoked)
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    # Every connection shows its certificate: none is taken on the word of an earlier one.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
    return context


async def _serve(service: Service, context: ssl.SSLContext, address: str | None, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(service.application(), access_log=None, keepalive_timeout=_KEPT, shutdown_timeout=5)
    await runner.setup()
    try:
        await web.TCPSite(runner, address, port, ssl_context=context).start()
        _notify("READY=1")
        await stop.wait()
    finally:
        await runner.cleanup()


def _notify(state: str) -> None:
    """Tell systemd, if it was systemd that started this."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.connect("\0" + address[1:] if address.startswith("@") else address)
            notify.sendall(state.encode())


def main(arguments: list[str] | None = None) -> int:
    """Run until a signal ends it."""
    parser = argparse.ArgumentParser(prog="cmsaf-token-service", description="Mints users' tokens for the hub.")
    parser.add_argument("--credentials", type=Path, default=os.environ.get("CREDENTIALS_DIRECTORY"))
    parser.add_argument("--address", help="listen here only; all addresses if not given")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--client", required=True, help="name in the certificate of the one client")
    parser.add_argument("--issuer", required=True)
    parser.add_argument("--users-domain", required=True)
    parser.add_argument("--key-id", required=True, help="name of the key's file in passwords.d")
    parser.add_argument("--lifetime", type=int, required=True, help="seconds that no token outlasts")
    found = parser.parse_args(arguments)
    if found.credentials is None:
        parser.error("--credentials is needed where systemd gives no $CREDENTIALS_DIRECTORY")
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    files: Path = found.credentials
    pool = Pool(found.issuer, found.users_domain, found.key_id, found.lifetime)
    service = Service(pool, (files / "signing-key").read_bytes(), found.client)
    context = tls(files / "tls.crt", files / "tls.key", files / "ca.crt", files / "ca.crl")
    asyncio.run(_serve(service, context, found.address, found.port))
    return 0


if __name__ == "__main__":
    sys.exit(main())
