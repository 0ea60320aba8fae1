"""Listening: the port, the token, and the server's life."""

import errno
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segmint.errors import ConfigError, MissingDependency

if TYPE_CHECKING:
    import uvicorn

    from segmint.viewer.catalog import Carry

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Names under which a browser reaches a viewer that listens to this machine alone."""
CONNECTIONS = 256
"""Connections held at a time; further ones are told to come back later."""
PORTS_TRIED = 50
"""Ports looked at for a free one to propose."""
GRACE_S = 2
"""How long open connections may hold up the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the viewer listens; `token` is None on the loopback."""

    host: str
    port: int
    token: str | None = None

    @property
    def url(self) -> str:
        """What to open in a browser; a viewer that listens everywhere is named by this machine."""
        name = socket.gethostname() if self.host in ("0.0.0.0", "::") else self.host
        shown = f"[{name}]" if ":" in name else name
        return f"http://{shown}:{self.port}/" + (f"?token={self.token}" if self.token else "")


def serve(
    run: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8321,
    allow_remote: bool = False,
    token: str | None = None,
    cache: Path | None = None,
    ready: Callable[[Address], None] = lambda _: None,
    carry: "Carry | None" = None,
) -> None:
    """Serve the viewer until interrupted.

    Args:
        run: the run folder.
        host: address to listen on; anything but the loopback needs `allow_remote`.
        port: port to listen on; 0 takes any free one.
        allow_remote: listen to other machines, to those who bring the token.
        token: the secret to ask for; None makes one.
        cache: folder for thumbnails; None takes the user's cache folder.
        ready: called with the address once requests are answered.
        carry: writes decisions down in the runs that `run` was put together from.

    Raises:
        ConfigError: the host is not the loopback and `allow_remote` is off, or the port is taken.
        RunError: there is no run.
        MissingDependency: FastAPI or uvicorn is not installed.
    """
    if host not in LOOPBACK and not allow_remote:
        raise ConfigError(
            f"--host {host} lets other machines in: add --allow-remote, which asks them for a token"
        )
    _check_installed()
    from segmint.viewer.app import create_app
    from segmint.viewer.catalog import Catalog
    from segmint.viewer.guard import Guard
    from segmint.viewer.pictures import cache_folder, prune

    catalog = Catalog(run, carry)
    thumbnails = cache or cache_folder()
    prune(thumbnails)
    listening = bind(host, port)
    address = Address(
        host=host,
        port=listening.getsockname()[1],
        token=(token or secrets.token_urlsafe(24)) if allow_remote else None,
    )
    server = server_of(Guard(create_app(catalog, thumbnails), port=address.port, token=address.token))
    begin = server.startup

    async def begin_and_tell(sockets: list[socket.socket] | None = None) -> None:
        await begin(sockets=sockets)
        ready(address)

    server.startup = begin_and_tell  # type: ignore[method-assign]
    with catalog.watching(), listening:
        server.run(sockets=[listening])


def server_of(app: Any) -> "uvicorn.Server":
    """uvicorn over the application, quiet, with an end to every wait."""
    import uvicorn

    from segmint.viewer.guard import Impatient

    config = uvicorn.Config(
        app,
        http=Impatient,
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=GRACE_S,
    )
    return uvicorn.Server(config)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        ConfigError: the port is taken (the message names a free one), or the host is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            free = free_port(host, port)
            raise ConfigError(f"port {port} is taken; {free} is free: add --port {free}") from None
        raise ConfigError(f"cannot listen on {host} port {port}: {error.strerror}") from None
    listening.listen(128)
    return listening


def free_port(host: str, near: int) -> int:
    """A port above `near` that can be listened on; any free one where the nearest are all taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in (*range(near + 1, min(near + PORTS_TRIED, 65_536)), 0):
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            try:
                probe.bind((host, candidate))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    return 0


def _check_installed() -> None:
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MissingDependency(
            f"the viewer needs {error.name}; install it with: pip install 'segmint[viewer]'"
        ) from None
