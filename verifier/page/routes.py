"""The pages, and how a browser shows its key once."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import parse_qs, quote

import plotly
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse
from jinja2 import Environment, PackageLoader
from msgspec import to_builtins

from collector.errors import UsageError
from verifier import listed
from verifier.api import asking, exporting
from verifier.api.access import Caller, Gatekeeper
from verifier.api.models import RequestRow
from verifier.api.problems import Refusal
from verifier.api.queries.incidents import with_deliveries
from verifier.api.scopes import Scope
from verifier.api.services import ServicesDep, Snapshot
from verifier.app import tick_rules
from verifier.incidents import store
from verifier.page import session, views
from verifier.pairing.lines import Verdict
from verifier.settle.lookup import explain_each
from verifier.settle.windows import Span
from verifier.times import iso_time

router: Final = APIRouter(include_in_schema=False)
_PAGE: Final = Path(str(files("verifier.page")))
_CHARTS: Final = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
_STATIC: Final = {
    "page.css": (_PAGE / "static" / "page.css", "text/css"),
    "page.js": (_PAGE / "static" / "page.js", "text/javascript"),
    "plotly.js": (_CHARTS, "text/javascript"),
}
_CACHED: Final = "public, max-age=3600"
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""Charts set styles on their elements; nothing else comes from anywhere but here."""
RANGES: Final = {"15m": "15 min", "1h": "1 hour", "6h": "6 hours", "1d": "1 day", "7d": "7 days"}
_THEN_LENGTH: Final = 8_000
_IDS_LENGTH: Final = 16_000
"""Characters of a list of ids: a link of a hundred usual ones has a fourth of it."""
_BODY_BYTES: Final = 1_000 + 3 * _THEN_LENGTH
_PAGES: Final = re.compile(r"/(policy|requests?|incident)?(\?[^\s\\]*)?")
"""Where somebody goes who showed a key."""


class _LogIn(Exception):
    """Somebody must show a key first; then they see what they asked for."""


@lru_cache(maxsize=1)
def _templates() -> Environment:
    made = Environment(
        loader=PackageLoader("verifier.page"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    made.filters["words"] = lambda text: str(text).replace("_", " ")
    made.filters["clock"] = lambda text: str(text)[11:23] if text else ""
    made.filters["day"] = lambda text: str(text)[:10] if text else ""
    made.filters["json"] = lambda value: json.dumps(value)
    made.filters["url"] = lambda text: quote(str(text), safe="")
    return made


def _render(request: Request, name: str, status: int = 200, **values: Any) -> HTMLResponse:
    text = _templates().get_template(name).render(path=request.url.path, ranges=RANGES, **values)
    return HTMLResponse(text, status, headers={"Content-Security-Policy": _POLICY})


def _viewer(request: Request, services: ServicesDep) -> Caller:
    """Who looks: by the cookie, or from this machine while there is no key.

    Raises:
        _LogIn: Nobody we know.
    """
    gatekeeper: Gatekeeper = request.app.state.gatekeeper
    cookie = request.cookies.get(session.COOKIE)
    if cookie is not None:
        with services.reading() as connection:
            now_us = services.now_us(connection)
        prefix = session.read_session(services.secret, cookie, now_us)
        caller = None if prefix is None else gatekeeper.caller_of_prefix(prefix)
        if caller is not None:
            return caller
    try:
        return gatekeeper.admit(request, None)
    except Refusal as refusal:
        if refusal.status == 401:
            raise _LogIn from refusal
        raise


Viewer = Annotated[Caller, Depends(_viewer)]


@router.get("/")
def show_overview(
    request: Request, viewer: Viewer, services: ServicesDep, connection: Snapshot
) -> HTMLResponse:
    """All policies now."""
    rules = tick_rules(services.settings.verifier).evidence
    view = views.overview(connection, services.now_us(connection), rules)
    return _render(request, "overview.html", viewer=viewer, view=view)


@router.get("/policy")
def show_policy(
    request: Request,
    viewer: Viewer,
    services: ServicesDep,
    connection: Snapshot,
    name: Annotated[str, Query(max_length=500)],
    since: Annotated[str, Query(max_length=40)] = "1h",
    until: Annotated[str, Query(max_length=40)] = "",
    verdict: Annotated[str, Query(max_length=20)] = "",
    before: Annotated[str, Query(max_length=50)] = "",
) -> HTMLResponse:
    """One policy over a range."""
    now_us = services.now_us(connection)
    shown = {"name": name, "since": since, "until": until, "verdict": verdict}
    try:
        span = asking.read_range(connection, name, since, until or None, now_us).windows
        view = views.policy_view(connection, name, span, _verdict(verdict), _before(before))
    except Refusal as refusal:
        return _render(
            request, "wrong.html", refusal.status, viewer=viewer, detail=refusal.detail, shown=shown
        )
    if view is None:
        detail = f"no policy is called {name}"
        return _render(request, "wrong.html", 404, viewer=viewer, detail=detail, shown=shown)
    verdicts = [one.value for one in Verdict if one is not Verdict.PENDING]
    return _render(
        request, "policy.html", viewer=viewer, view=view, shown=shown, verdicts=verdicts,
        span=Span(*span), iso_time=iso_time,
    )  # fmt: skip


def _verdict(text: str) -> str:
    return text if text in set(Verdict) else ""


def _before(text: str) -> tuple[int, ...] | None:
    parts = text.split(".")
    known = len(parts) == 2 and all(part.isdigit() and len(part) < 19 for part in parts)
    return tuple(int(part) for part in parts) if known else None


@router.get("/incident")
def show_incident(
    request: Request,
    viewer: Viewer,
    connection: Snapshot,
    number: Annotated[int, Query(ge=0, lt=1 << 63)],
) -> HTMLResponse:
    """One incident, with all that was sent of it."""
    row = store.incident_row(connection, number)
    if row is None:
        detail = f"no incident has the number {number}"
        return _render(request, "wrong.html", 404, viewer=viewer, detail=detail, shown={})
    view = with_deliveries(connection, row)
    return _render(request, "incident.html", viewer=viewer, view=view)


@router.get("/request")
def show_request(
    request: Request,
    viewer: Viewer,
    connection: Snapshot,
    id: Annotated[str, Query(max_length=1_000)] = "",
) -> HTMLResponse:
    """One request id, its lines side by side."""
    if Scope.RAW not in viewer.scopes:
        return _without_raw(request, viewer)
    view = views.request_view(connection, id.strip()) if id.strip() else None
    return _render(request, "request.html", viewer=viewer, view=view, asked=id)


@router.get("/requests")
def show_requests(
    request: Request,
    viewer: Viewer,
    connection: Snapshot,
    ids: Annotated[str, Query(max_length=_IDS_LENGTH)] = "",
    form: exporting.Form | None = None,
) -> Response:
    """A list of request ids, each with its verdict; as a file, too."""
    if Scope.RAW not in viewer.scopes:
        return _without_raw(request, viewer)
    rows: list[listed.Row] = []
    wrong = ""
    try:
        wanted = listed.read_ids(ids) if ids.strip() else []
        rows = listed.all_rows(explain_each(connection, wanted))
    except UsageError as error:
        wrong = str(error)
    if form is not None and rows:
        shown = [RequestRow.model_validate(to_builtins(row)) for row in rows]
        return exporting.written(form, "requests", RequestRow, shown)
    return _render(
        request, "requests.html", 422 if wrong else 200, viewer=viewer, asked=ids, rows=rows,
        wrong=wrong, counted=listed.summary(rows), most=listed.MOST, longest=_IDS_LENGTH,
    )  # fmt: skip


def _without_raw(request: Request, viewer: Caller) -> HTMLResponse:
    detail = f"lines need a key with the scope raw; {viewer.name} has not got it"
    return _render(request, "wrong.html", 403, viewer=viewer, detail=detail, shown={})


@router.get("/login")
def ask_key(
    request: Request, then: Annotated[str, Query(max_length=_THEN_LENGTH)] = "/"
) -> HTMLResponse:
    """Where a browser shows its key."""
    return _render(request, "login.html", viewer=None, wrong=False, then=_of_ours(then))


def _of_ours(then: str) -> str:
    """A page of ours, whatever the link says: nobody is sent elsewhere from here."""
    return then if _PAGES.fullmatch(then) else "/"


async def _form(request: Request) -> dict[str, str]:
    """A form; no more of a body is read than a key and a link are long."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_BYTES:
            return {}
    fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=5)
    return {name: values[0] for name, values in fields.items()}


@router.post("/login")
def take_key(
    request: Request, services: ServicesDep, form: Annotated[dict[str, str], Depends(_form)]
) -> Response:
    """Takes the key, and gives a cookie for the day."""
    then = _of_ours(form.get("then", "/"))
    try:
        caller: Caller = request.app.state.gatekeeper.admit_key(
            request, form.get("key", "").strip()
        )
    except Refusal as refusal:
        wrong = refusal.status == 401
        return _render(request, "login.html", refusal.status, viewer=None, wrong=wrong, then=then)
    with services.reading() as connection:
        now_us = services.now_us(connection)
    answer = RedirectResponse(then, 303)
    answer.set_cookie(
        session.COOKIE,
        session.write_session(services.secret, caller.name.removeprefix("key:"), now_us),
        max_age=session.LIFE_US // 1_000_000,
        httponly=True,
        samesite="lax",  # links that are shared bring it along; pages change nothing
        secure=request.url.scheme == "https",
    )
    return answer


@router.post("/logout")
def leave() -> Response:
    """Forgets the cookie."""
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(session.COOKIE)
    return answer


@router.get("/static/{name}")
def read_static(name: str) -> Response:
    """Style, script and chart library."""
    found = _STATIC.get(name)
    if found is None:
        return Response(status_code=404)
    return FileResponse(found[0], media_type=found[1], headers={"Cache-Control": _CACHED})


def install(app: FastAPI) -> None:
    """Adds the pages to the application of the API."""
    app.include_router(router)
    app.add_exception_handler(_LogIn, _to_login)


def _to_login(request: Request, _: Exception) -> Response:
    asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    then = "" if asked == "/" or len(asked) > _THEN_LENGTH else f"?then={quote(asked, safe='')}"
    return RedirectResponse(f"/login{then}", 303)
