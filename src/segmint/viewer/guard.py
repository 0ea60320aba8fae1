"""What every request must pass: a known Host, a token where the viewer listens to others, no foreign writes.

Host         one of the names of this machine's loopback, against DNS rebinding (not asked where a token is)
token        `?token=` once, then a cookie that scripts cannot read; or an `Authorization: Bearer` header
writes       POST only, with the header `X-Segmint: 1`, which a foreign page cannot send without our consent,
             and with an Origin, where there is one, of our own; bodies are small, however they are sent
time         a connection that keeps the viewer waiting is cut
"""

import asyncio
import hmac
import re

import h11
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

OWN_HOST = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?", re.IGNORECASE)
"""Host headers of a viewer that listens to this machine alone."""
MAX_BODY_BYTES = 65_536
"""No decision is larger."""
PATIENCE_S = 30.0
"""How long a request may take to arrive whole, and a full send buffer to empty."""
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
)
WELCOME = '<!doctype html><meta http-equiv="refresh" content="0;url=/"><title>segmint</title>'
"""Sent with the cookie: the page that follows carries it, though it is `SameSite=Strict`."""
COOKIE_S = 30 * 24 * 3600


class Guard:
    """ASGI middleware around the viewer.

    Starlette's own limits bodies; its TrustedHostMiddleware would not tell a person what to open instead.

    Args:
        app: what is guarded.
        port: the port listened on, which names the cookie: cookies are shared between ports.
        token: None for a viewer on the loopback; else the secret that every request must bring.
    """

    def __init__(self, app: ASGIApp, *, port: int, token: str | None = None) -> None:
        self.app = RequestBodyLimitMiddleware(app, MAX_BODY_BYTES)
        self.token, self.cookie = token, f"segmint_{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or refuse it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            answer = self._own_answer(Request(scope)) or self.app
            await answer(scope, receive, _with_headers(send))

    def _own_answer(self, request: Request) -> Response | None:
        if self.token is None and not OWN_HOST.fullmatch(request.headers.get("host", "")):
            return _refusal(403, "this viewer answers to 127.0.0.1 and localhost only")
        if self.token is not None and self._brings_token_in_url(request):
            return self._welcome(self.token)
        if self.token is not None and not self._has_token(request):
            return _refusal(401, "open the address with ?token=… that segmint view printed")
        return None if request.method in ("GET", "HEAD") else _change_refusal(request)

    def _has_token(self, request: Request) -> bool:
        offered = request.headers.get("authorization", "").removeprefix("Bearer ")
        return self._matches(offered) or self._matches(request.cookies.get(self.cookie, ""))

    def _matches(self, offered: str) -> bool:
        return self.token is not None and hmac.compare_digest(offered.encode(), self.token.encode())

    def _brings_token_in_url(self, request: Request) -> bool:
        shown = request.method == "GET" and request.scope["path"] == "/"
        return shown and self._matches(request.query_params.get("token", ""))

    def _welcome(self, token: str) -> Response:
        page = HTMLResponse(WELCOME, headers={"cache-control": "no-store"})
        page.set_cookie(self.cookie, token, max_age=COOKIE_S, httponly=True, samesite="strict")
        return page


class Impatient(H11Protocol):
    """uvicorn's HTTP, with an end to waiting: its own ends a connection only where it idles after an answer.

    PATIENCE_S holds for a request's head and body together, and for a reader that takes nothing more.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Wait on while the request is not whole."""
        super().data_received(data)
        self._watch()

    def pause_writing(self) -> None:
        """Wait for the reader."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """The reader goes on."""
        super().resume_writing()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        super().connection_lost(exc)
        self._watch(lost=True)

    def _watch(self, *, lost: bool = False) -> None:
        owing = self.flow.write_paused or self.conn.their_state in (h11.IDLE, h11.SEND_BODY)
        if owing and not lost and self._deadline is None:
            self._deadline = self.loop.call_later(PATIENCE_S, self.transport.abort)
        elif self._deadline is not None and (lost or not owing):
            self._deadline.cancel()
            self._deadline = None


def _change_refusal(request: Request) -> Response | None:
    if request.method != "POST":
        return _refusal(405, "only GET and POST are answered")
    host, origin = request.headers.get("host"), request.headers.get("origin")
    own = origin in (None, f"http://{host}", f"https://{host}")
    if request.headers.get("x-segmint") != "1" or not own:
        return _refusal(403, "changes are taken from the viewer's own page only")
    return None


def _refusal(status: int, reason: str) -> Response:
    return PlainTextResponse(f"{reason}\n", status_code=status)


def _with_headers(send: Send) -> Send:
    async def add(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *HEADERS]}
        await send(message)

    return add
