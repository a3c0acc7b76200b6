"""The explorer as an application: who may ask, which address is which view, and nothing that leaves this computer.

Every request needs the token that the printed address holds, once, then a cookie; its Host must be one of ours; what changes something
must come from our own page. Pages may load their own style sheet and script alone.
"""

import hmac
import json
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final
from urllib.parse import parse_qsl, quote, unquote, urlencode

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from audit.errors import AuditError
from audit.explore import query as queries
from audit.explore.query import BadQuery, NotFound
from audit.explore.selections import save, selection
from audit.explore.shelf import Shelf
from audit.explore.views import SHARED, VIEWS, View
from audit.explore.views.clusters import points
from audit.report.document import environment, style
from audit.store.explanations import load_picture

if TYPE_CHECKING:
    from audit.explore.live import Live

HERE: Final = Path(__file__).parent
FORM: Final = frozenset({"column", "range", "search"})  # of the form for examples: its address says the same in one way
MOST_BODY: Final = 40_000_000  # bytes of a request
POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
}  # fmt: skip


def application(
    shelf: Shelf, token: str, hosts: frozenset[str], *, root: str = "", live: "Live | None" = None
) -> ASGIApp:
    """Of one run; `hosts` are the names under which it may be asked, with their ports; `root` is the path of a proxy before it."""
    site = Site(shelf, root, live)
    routes: list[BaseRoute] = [Route(path, _page(site, view)) for path, view in VIEWS.items()]
    routes += [
        Route("/live", _live(site)),
        Route("/photograph", _photograph(site), methods=["POST"]),
        Route("/photograph", _stage(site)),
        Route("/picture", _picture(shelf)),
        Route("/points.json", lambda request: JSONResponse(points(shelf))),
        Route("/worklist", _save(site), methods=["POST"]),
        Route("/worklist/{name}.{form}", _export(shelf)),
        Route(
            "/style.css",
            lambda request: Response(style() + (HERE / "static" / "explorer.css").read_text(), media_type="text/css"),
        ),
    ]
    routes.append(Mount("/static", StaticFiles(directory=HERE / "static")))
    inner = Starlette(routes=routes)
    inner.router.redirect_slashes = False  # its redirects would leave the path of the proxy
    return _Guard(inner, token, hosts, root)


@final
@dataclass(frozen=True, slots=True)
class Site:
    """What every page is made of: the run, the path of a proxy, and the model, if it is given."""

    shelf: Shelf
    root: str
    live: "Live | None"

    def page(self, template: str, given: Mapping[str, Any], status: int = 200) -> Response:
        """A template of this run."""
        made = environment(HERE / "templates").get_template(template)
        basis = {
            "record": self.shelf.record,
            "shelf": self.shelf,
            "root": self.root,
            "live": self.live,
            "at": quote,
            "encoded": _encoded,
        }
        return HTMLResponse(made.render(**basis, **SHARED, **given), status)

    def problem(self, error: Exception, status: int = 400) -> Response:
        """Why something cannot be shown."""
        return self.page("problem.html.j2", {"problem": str(error)}, status)


def _encoded(picture: bytes) -> str:
    return b64encode(picture).decode()


def _page(site: Site, view: View) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        pairs = parse_qsl(request.url.query, keep_blank_values=True)
        if FORM & dict(pairs).keys():
            return RedirectResponse(f"{site.root}{request.url.path}?{queries.asked(pairs)}", 303)
        try:
            given = view.given(site.shelf, pairs)
            return site.page(view.template, given | _explained_now(site.live, given))
        except BadQuery as error:
            return site.problem(error)
        except NotFound as error:
            return site.problem(error, 404)
        except AuditError as error:
            return site.problem(error, 500)

    return answer


def _explained_now(live: "Live | None", given: Mapping[str, Any]) -> dict[str, Any]:
    """An example whose explanation the run does not keep, as the model at hand explains it."""
    if live is None or "own" not in given or given["own"] is not None:
        return {}
    from audit.explore.live import OF_DATA, Asked

    try:
        return {"own": live.explain(Asked(given["cells"].get("text") or "", f"{OF_DATA}{given['id']}")), "now": True}
    except AuditError as error:
        return {"problem": str(error)}


def _live(site: Site) -> Callable[[Request], Response]:
    """The page, or, where `part` is asked for, what is explained alone."""

    def answer(request: Request) -> Response:
        if site.live is None:
            return site.problem(NotFound("the model is not at hand: start lrp-audit explore with --model"), 404)
        from audit.explore.live import Asked

        asked = request.query_params
        wanted = Asked(
            asked.get("text", ""),
            asked.get("key", ""),
            asked.get("target", ""),
            asked.get("composite", ""),
            _box(asked.get("covered", "")),
        )
        given: dict[str, Any] = {"asked": wanted, "found": None, "problem": ""}
        if wanted.text.strip() or wanted.key:
            try:
                found = site.live.explain(wanted)
                given["found"] = found
            except AuditError as error:
                given["problem"] = str(error)
        return site.page("explained.html.j2" if asked.get("part") else "live.html.j2", given)

    return answer


def _box(given: str) -> tuple[int, int, int, int] | None:
    found = re.fullmatch(r"(\d{1,5}),(\d{1,5}),(\d{1,5}),(\d{1,5})", given)
    return (int(found[1]), int(found[2]), int(found[3]), int(found[4])) if found else None


def _photograph(site: Site) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        if site.live is None or site.live.task != "image":
            return JSONResponse({"problem": "no model for photographs is at hand"}, 404)
        try:
            return JSONResponse({"key": await run_in_threadpool(site.live.keep, await request.body())})
        except AuditError as error:
            return JSONResponse({"problem": str(error)}, 400)

    return answer


def _stage(site: Site) -> Callable[[Request], Response]:
    """A photograph as it is covered by hand."""

    def answer(request: Request) -> Response:
        if site.live is None or site.live.task != "image":
            return Response(status_code=404)
        try:
            return Response(site.live.picture(request.query_params.get("key", "")), media_type="image/png")
        except AuditError as error:
            return _plain(str(error), 404)

    return answer


def _picture(shelf: Shelf) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        asked = request.query_params
        try:
            found = load_picture(shelf.folder, asked.get("id", ""), asked.get("change", ""))
        except AuditError as error:
            return _plain(str(error), 500)
        return Response(found, 200 if found else 404, media_type="image/jpeg")

    return answer


def _save(site: Site) -> Callable[[Request], Any]:

    async def answer(request: Request) -> Response:
        sent = (await request.body()).decode("utf-8", "replace")
        try:
            await run_in_threadpool(_keep, site.shelf, sent)
        except (ValueError, RecursionError, AuditError) as error:
            return site.problem(ValueError(f"Not saved: {error}"))
        return RedirectResponse(f"{site.root}/worklists?saved", 303)

    return answer


def _keep(shelf: Shelf, sent: str) -> None:
    """Save the worklist of a form; ValueError for what cannot be kept."""
    form = dict(parse_qsl(sent, keep_blank_values=True, max_num_fields=100))
    ids, source = json.loads(form.get("ids") or "[]"), form.get("source", "")
    if form.get("every") and source:
        ids = shelf.cells("id", queries.rows(shelf, queries.read(shelf, parse_qsl(source, keep_blank_values=True))))
    known = isinstance(ids, list) and all(isinstance(each, str) for each in ids)
    if not known or len(shelf.places(ids)) < len(ids):
        raise ValueError("ids that this run has not were sent")
    save(shelf.folder, form.get("name", "").strip(), form.get("note", ""), ids, source)


def _export(shelf: Shelf) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        found = selection(shelf.folder, request.path_params["name"])
        form = request.path_params["form"]
        if found is None or form not in ("csv", "json"):
            return Response("there is no such worklist", 404, media_type="text/plain")
        if form == "json":
            content, kind = found.as_json(), "application/json"
        else:
            at = shelf.places(found.ids)
            names = [
                "id",
                *(
                    name
                    for name in ("label", "predicted", "correct", "contrast", "text", "file")
                    if name in shelf.types
                ),
            ]
            content, kind = found.as_csv([(name, shelf.cells(name, at)) for name in names]), "text/csv; charset=utf-8"
        named = quote(f"{found.name}.{form}")
        return Response(
            content, media_type=kind, headers={"Content-Disposition": f"attachment; filename*=UTF-8''{named}"}
        )

    return answer


class _Guard:
    """Before everything: host, token, origin, size; and the headers of every answer."""

    def __init__(self, inner: ASGIApp, token: str, hosts: frozenset[str], root: str) -> None:
        self.inner, self.token, self.hosts, self.root = inner, token, hosts, root
        self.cookie = cookie_of(token)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.inner(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        request = Request(scope)
        refused = self._refused(request)

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                extra = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        scope = {**scope, "root_path": "", "path": self._below(scope["path"])}
        await (refused or self.inner)(scope, receive, with_headers)

    def _refused(self, request: Request) -> Response | None:
        """The answer to who may not ask, or who has just shown the token."""
        if request.headers.get("host", "") not in self.hosts:
            return _plain("this address is not one of the explorer's", 421)
        given = request.query_params.get("token")
        if given is not None and request.method == "GET":
            return (
                self._admitted(request)
                if self._is_token(given)
                else _plain("another token than the one that was printed", 403)
            )
        if not self._is_token(request.cookies.get(self.cookie, "")):
            return _plain("open the address that lrp-audit explore printed: it holds the token", 403)
        if request.method not in ("GET", "HEAD"):
            origin = request.headers.get("origin", "").partition("://")[2]
            if origin not in self.hosts:
                return _plain("only the explorer's own pages may change something", 403)
            length = request.headers.get("content-length", "")
            if "transfer-encoding" in request.headers or not length.isdecimal() or int(length) > MOST_BODY:
                return _plain(f"more than {MOST_BODY:,} bytes, or it does not say how many", 413)
        return None

    def _admitted(self, request: Request) -> Response:
        kept = [(name, value) for name, value in request.query_params.multi_items() if name != "token"]
        path = f"{self.root}/{quote(self._below(request.scope['path']).lstrip('/'))}"
        answer = RedirectResponse(f"{path}?{urlencode(kept)}" if kept else path, 303)
        answer.set_cookie(self.cookie, self.token, httponly=True, samesite="strict", path=self.root or "/")
        return answer

    def _below(self, path: str) -> str:
        """A path as the application has it, whether the proxy took its own from it or not."""
        root = unquote(self.root)
        return path.removeprefix(root) if path.startswith(f"{root}/") else "/" if path == root else path

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.token.encode())


def cookie_of(token: str) -> str:
    """The name of its cookie: of its own, because one browser sends the cookies of every port of this computer."""
    return f"lrp-audit-explorer-{sha256(token.encode()).hexdigest()[:8]}"


def _plain(words: str, status: int) -> Response:
    return Response(f"{words}\n", status, media_type="text/plain")
