"""The explorer as an application: which address is which view, what is sent to it, and the run's own reports."""

import json
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final
from urllib.parse import parse_qsl, quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from audit.errors import AuditError
from audit.explore import query as queries
from audit.explore.guard import Door, Guard, plain
from audit.explore.listing import columns
from audit.explore.query import BadQuery, NotFound
from audit.explore.selections import remove, save, selection
from audit.explore.shelf import Shelf
from audit.explore.views import SHARED, VIEWS, View
from audit.explore.views.clusters import points
from audit.explore.views.example import told_change
from audit.report.document import environment, style
from audit.store.explanations import load_picture

if TYPE_CHECKING:
    from audit.explore.live import Live

HERE: Final = Path(__file__).parent
REPORTS: Final = ("report.html", "debug.html")
OF_REPORT: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
FORM: Final = frozenset({"column", "range", "search"})  # of the form for examples: its address says the same in one way


def application(
    shelf: Shelf, door: Door, hosts: frozenset[str], *, root: str = "", live: "Live | None" = None
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
        *(Route(f"/{name}", _report(shelf.folder / name)) for name in REPORTS),
        Route("/worklist", _save(site), methods=["POST"]),
        Route("/worklist/remove", _remove(site), methods=["POST"]),
        Route("/worklist/{name}.{form}", _export(shelf)),
        Route(
            "/style.css",
            lambda request: Response(style() + (HERE / "static" / "explorer.css").read_text(), media_type="text/css"),
        ),
    ]
    routes.append(Mount("/static", StaticFiles(directory=HERE / "static")))
    inner = Starlette(routes=routes)
    inner.router.redirect_slashes = False  # its redirects would leave the path of the proxy
    return Guard(inner, door, hosts, root)


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

    asked = Asked(given["cells"].get("text") or "", f"{OF_DATA}{given['id']}")
    try:
        own, changed = live.explain(asked), live.changed(asked)
    except AuditError as error:
        return {"problem": str(error)}
    return {"own": own, "changed": [told_change(own, name, each) for name, each in changed.items()], "now": True}


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
        given: dict[str, Any] = {"asked": wanted, "found": None, "problem": "", "of": asked.get("of", "")}
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
            return plain(str(error), 404)

    return answer


def _picture(shelf: Shelf) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        asked = request.query_params
        try:
            found = load_picture(shelf.folder, asked.get("id", ""), asked.get("change", ""))
        except AuditError as error:
            return plain(str(error), 500)
        return Response(found, 200 if found else 404, media_type="image/jpeg")

    return answer


def _report(path: Path) -> Callable[[Request], Response]:
    """A page of the run as it was written: it has its own style, and no script."""

    def answer(request: Request) -> Response:
        if not path.is_file():
            return plain(f"this run has no {path.name}", 404)
        return HTMLResponse(path.read_bytes(), headers={"Content-Security-Policy": OF_REPORT})

    return answer


def _remove(site: Site) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        sent = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
        remove(site.shelf.folder, sent.get("name", ""))
        return RedirectResponse(f"{site.root}/worklists", 303)

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
    name = form.get("name", "").strip()
    if not form.get("replace") and selection(shelf.folder, name):
        raise ValueError(f"there is a worklist {name!r} already; give another name, or say that it is to be replaced")
    save(shelf.folder, name, form.get("note", ""), ids, source)


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
            table = [(name, shelf.cells(name, at)) for name in columns(shelf)]
            content, kind = found.as_csv(table), "text/csv; charset=utf-8"
        named = quote(f"{found.name}.{form}")
        return Response(
            content, media_type=kind, headers={"Content-Disposition": f"attachment; filename*=UTF-8''{named}"}
        )

    return answer
