"""What every request must pass: a known Host, a token where the viewer listens to others, no foreign writes.

Host         one of the names of this machine's loopback, against DNS rebinding (not asked where a token is)
token        `?token=` once, then a cookie that scripts cannot read; or an `Authorization: Bearer` header
writes       POST only, with the header `X-Segmint: 1`, which a foreign page cannot send without our consent,
             and with an Origin, where there is one, of our own
"""

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Names under which a browser reaches a viewer that listens to this machine alone."""
MAX_BODY_BYTES = 65_536
"""No decision is larger."""
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing from elsewhere, no inline script or style, no embedding."""
HEADERS = (
    (b"content-security-policy", CONTENT_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)  # fmt: skip
WELCOME = b'<!doctype html><meta http-equiv="refresh" content="0;url=/"><title>segmint</title>'
"""Sent with the cookie: the page that follows carries it, though it is `SameSite=Strict`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a request is turned away."""

    status: int
    reason: str


class Guard:
    """ASGI middleware around the viewer.

    Args:
        app: what is guarded.
        port: the port listened on, which names the cookie: cookies are shared between ports.
        token: None for a viewer on the loopback; else the secret that every request must bring.
    """

    def __init__(self, app: App, *, port: int, token: str | None = None) -> None:
        self.app, self.token, self.cookie = app, token, f"segmint_{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or refuse it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        if self._brings_token_in_url(scope):
            await self._welcome(send)
            return
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _refuse(send, refusal)
            return
        await self.app(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope, headers: MutableMapping[str, str]) -> Refusal | None:
        if self.token is None and _host_name(headers.get("host", "").lower()) not in LOOPBACK:
            return Refusal(status=403, reason="this viewer answers to 127.0.0.1 and localhost only")
        if self.token is not None and not self._has_token(headers):
            return Refusal(status=401, reason="open the address with ?token=… that segmint view printed")
        return None if scope["method"] in ("GET", "HEAD") else _change_refusal(scope, headers)

    def _has_token(self, headers: MutableMapping[str, str]) -> bool:
        offered = headers.get("authorization", "").removeprefix("Bearer ")
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(self.cookie)
        except CookieError:
            cookie = None
        return self._matches(offered) or (cookie is not None and self._matches(cookie.value))

    def _matches(self, offered: str) -> bool:
        return self.token is not None and hmac.compare_digest(offered.encode(), self.token.encode())

    def _brings_token_in_url(self, scope: Scope) -> bool:
        if self.token is None or scope["method"] != "GET" or scope["path"] != "/":
            return False
        offered = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])
        return self._matches(offered[0])

    async def _welcome(self, send: Send) -> None:
        cookie = f"{self.cookie}={self.token}; HttpOnly; SameSite=Strict; Path=/; Max-Age=2592000"
        own = [
            (b"content-type", b"text/html"),
            (b"cache-control", b"no-store"),
            (b"set-cookie", cookie.encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": [*own, *HEADERS]})
        await send({"type": "http.response.body", "body": WELCOME})


def _change_refusal(scope: Scope, headers: MutableMapping[str, str]) -> Refusal | None:
    if scope["method"] != "POST":
        return Refusal(status=405, reason="only GET and POST are answered")
    origin = headers.get("origin")
    if headers.get("x-segmint") != "1" or (origin and urlsplit(origin).netloc != headers.get("host")):
        return Refusal(status=403, reason="changes are taken from the viewer's own page only")
    length = headers.get("content-length", "")
    if not length.isdigit() or int(length) > MAX_BODY_BYTES:
        return Refusal(status=413, reason=f"a change has at most {MAX_BODY_BYTES} bytes and says how many")
    return None


def _host_name(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and ":" in host else host


async def _refuse(send: Send, refusal: Refusal) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *HEADERS]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{refusal.reason}\n".encode()})


def _with_headers(send: Send) -> Send:
    async def add(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *HEADERS]}
        await send(message)

    return add
