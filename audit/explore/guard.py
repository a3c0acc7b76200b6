"""Who may ask: this computer's names, a session that a one-time token opened, our own pages for what changes something."""

import hmac
import secrets
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final, final
from urllib.parse import quote, unquote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

MOST_BODY: Final = 40_000_000  # bytes of a request
POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
}  # fmt: skip


@final
class Door:
    """Not frozen: whoever shows its token enters once, with a cookie; from then on there is another token, which is `told`."""

    def __init__(self, told: Callable[[str], None] = lambda token: None) -> None:
        self._secret, self._told, self.token = secrets.token_urlsafe(24), told, secrets.token_urlsafe(24)

    @property
    def cookie(self) -> tuple[str, str]:
        """Name and value; a name of its own, because one browser sends the cookies of every port of this computer."""
        return f"lrp-audit-explorer-{sha256(self._secret.encode()).hexdigest()[:8]}", self._secret

    def opens(self, token: str) -> bool:
        """Whether it is the token, which is spent by it."""
        if not _same(token, self.token):
            return False
        self.token = secrets.token_urlsafe(24)
        self._told(self.token)
        return True

    def knows(self, request: Request) -> bool:
        """Whether the cookie came along."""
        name, value = self.cookie
        return _same(request.cookies.get(name, ""), value)


@final
class Guard:
    """Not frozen, as starlette wants: before everything host, session, origin and size; and the headers of every answer."""

    def __init__(self, inner: ASGIApp, door: Door, hosts: frozenset[str], root: str) -> None:
        self.inner, self.door, self.hosts, self.root = inner, door, hosts, root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self.inner(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        refused = self._refused(Request(scope))

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                known = {name for name, _ in message["headers"]}
                extra = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                message = {
                    **message,
                    "headers": [*message["headers"], *(each for each in extra if each[0] not in known)],
                }
            await send(message)

        scope = {**scope, "root_path": "", "path": self._below(scope["path"])}
        await (refused or self.inner)(scope, receive, with_headers)

    def _refused(self, request: Request) -> Response | None:
        """The answer to who may not ask, or who has just shown the token."""
        if request.headers.get("host", "") not in self.hosts:
            return plain("this address is not one of the explorer's", 421)
        given = request.query_params.get("token")
        if given is not None and request.method == "GET":
            if self.door.knows(request) or self.door.opens(given):
                return self._admitted(request)
            return plain(
                "this address was opened already, or is another's: lrp-audit explore has printed a new one", 403
            )
        if not self.door.knows(request):
            return plain("open the address that lrp-audit explore printed last: it holds the token", 403)
        return None if request.method in ("GET", "HEAD") else self._unwanted(request)

    def _unwanted(self, request: Request) -> Response | None:
        """The answer to what would change something and may not."""
        origin = request.headers.get("origin", "").partition("://")[2]
        if origin not in self.hosts:
            return plain("only the explorer's own pages may change something", 403)
        length = request.headers.get("content-length", "")
        if "transfer-encoding" in request.headers or not length.isdecimal() or int(length) > MOST_BODY:
            return plain(f"more than {MOST_BODY:,} bytes, or it does not say how many", 413)
        return None

    def _admitted(self, request: Request) -> Response:
        kept = [(name, value) for name, value in request.query_params.multi_items() if name != "token"]
        path = f"{self.root}/{quote(self._below(request.scope['path']).lstrip('/'))}"
        answer = RedirectResponse(f"{path}?{urlencode(kept)}" if kept else path, 303)
        answer.set_cookie(*self.door.cookie, httponly=True, samesite="strict", path=self.root or "/")
        return answer

    def _below(self, path: str) -> str:
        """A path as the application has it, whether the proxy took its own from it or not."""
        root = unquote(self.root)
        return path.removeprefix(root) if path.startswith(f"{root}/") else "/" if path == root else path


def plain(words: str, status: int) -> Response:
    """An answer without a page."""
    return Response(f"{words}\n", status, media_type="text/plain")


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())
