"""Renders templates to responses."""

import gzip
from collections.abc import Callable, Coroutine, Hashable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from api.dashboard import charts, formats, static_files
from api.dashboard.access import THEME_COOKIE, ProjectViewer, Viewer
from api.dashboard.navigation import SECTIONS
from api.dashboard.slow_parts import KEPT_SECONDS, Part

PART_HEADER: Final = "assay-part"
"""Header of requests for parts that were not ready in time."""

WHOLE: Final = "whole"
"""Parameter of requests that wait for all parts."""

_MIN_COMPRESSED_BYTES: Final = 1000
_THEMES: Final = ("light", "dark")

_ENVIRONMENT: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_ENVIRONMENT.globals |= {"charts": charts, "static": static_files.address, "sections": SECTIONS}
_ENVIRONMENT.filters |= {
    name: getattr(formats, name)
    for name in (
        *("visible", "whole", "score", "signed", "percent", "share", "money", "milliseconds"),
        *("duration", "moment", "ago", "short_id", "plural", "model_name", "first_line"),
    )
}


def _finalize(value: object) -> object:
    """Applied to every value in a template: makes hidden characters of untrusted text visible."""
    return formats.visible(value) if type(value) is str else value


_ENVIRONMENT.finalize = _finalize


def page(
    request: Request,
    template: str,
    viewer: Viewer | None = None,
    *,
    status: int = 200,
    **context: Any,
) -> HTMLResponse:
    """A whole page. `context` has the variables of its template."""
    base = _base(request, viewer)
    text = _ENVIRONMENT.get_template(template).render(base | context)
    return _compressed(request, text, status)


async def page_in_time(
    request: Request,
    template: str,
    viewer: ProjectViewer,
    work: Callable[[], Coroutine[Any, Any, dict[str, Any]]],
    *,
    heading: str,
    **context: Any,
) -> HTMLResponse:
    """The page with the result of `work`, which is the same for all users of the project.

    If `work` takes longer, the page is sent with its heading only and requests the rest. Without
    scripts, the browser requests the whole page again and waits.
    """
    asked = _parameters_of(request)
    key = ("page", viewer.project.id, request.url.path, tuple(asked))
    ready = await part(request, viewer, key, work)
    if ready is None:
        section = context.get("section", "")
        return page(request, "waiting.html", viewer, heading=heading, section=section)
    is_part = PART_HEADER in request.headers
    layout = "part.html" if is_part else "base.html"
    return page(request, template, viewer, layout=layout, **context, **ready)


async def part(
    request: Request,
    viewer: Viewer,
    key: Hashable,
    work: Callable[[], Coroutine[Any, Any, Part]],
    kept_seconds: float = KEPT_SECONDS,
) -> Part | None:
    """The result of `work`; None if the page should be sent without it and request it later."""
    parts = viewer.stack.slow_parts
    if PART_HEADER in request.headers or WHOLE in request.query_params:
        return await parts.whole(key, work, kept_seconds)
    found = await parts.in_time(key, work, kept_seconds)
    if found is None:
        request.state.late = True
    return found


def _parameters_of(request: Request) -> list[tuple[str, str]]:
    return [pair for pair in request.query_params.multi_items() if pair[0] != WHOLE]


def _whole_address(request: Request) -> str:
    """The address of the page with all parts, for browsers without scripts; empty if this is the
    address.
    """
    if not getattr(request.state, "late", False):
        return ""
    return f"{request.url.path}?{urlencode([*_parameters_of(request), (WHOLE, '1')])}"


def _base(request: Request, viewer: Viewer | None) -> dict[str, Any]:
    """The variables of all templates."""
    return {
        "viewer": viewer,
        "project": viewer.project if isinstance(viewer, ProjectViewer) else None,
        "root": viewer.at() if isinstance(viewer, ProjectViewer) else "/ui",
        "csrf": viewer.csrf_token() if viewer else "",
        "theme": _theme(request),
        "here": request.url.path,
        "asked": request.url.query,
        "section": "",
        "at": Addresses(request),
        "layout": "base.html",
        "whole": _whole_address(request),
    }


def macro(template: str, name: str, arguments: Mapping[str, Any]) -> str:
    """The HTML of one macro of a template, which replaces a part of a page."""
    return str(getattr(_ENVIRONMENT.get_template(template).module, name)(**arguments))


class Addresses:
    """Addresses of the same page with other parameters."""

    def __init__(self, request: Request) -> None:
        self._path = request.url.path
        self._asked = list(request.query_params.multi_items())

    def __call__(self, **changes: object) -> str:
        """The address with changed parameters.

        None removes a parameter. A change of any other parameter resets the offset.
        """
        kept = [
            (name, value)
            for name, value in self._asked
            if name not in changes and (name != "offset" or "offset" in changes)
        ]
        added = [(name, str(value)) for name, value in changes.items() if value is not None]
        query = urlencode([*kept, *added])
        return f"{self._path}?{query}" if query else self._path


def query(**parameters: object) -> str:
    """A query string of the given parameters, with its question mark."""
    given = {name: value for name, value in parameters.items() if value is not None}
    return f"?{urlencode(given, doseq=True)}" if given else ""


_ENVIRONMENT.globals["query"] = query


def redirect(address: str) -> RedirectResponse:
    """Redirects after a form, so that the page can be reloaded without sending the form again."""
    return RedirectResponse(address, status_code=303)


def _theme(request: Request) -> str:
    asked = request.query_params.get("theme") or request.cookies.get(THEME_COOKIE, "")
    return asked if asked in _THEMES else ""


def _compressed(request: Request, text: str, status: int) -> HTMLResponse:
    content = text.encode("utf-8", "replace")
    headers = {"Vary": "Accept-Encoding, Cookie", "Cache-Control": "no-store"}
    accepts = "gzip" in request.headers.get("accept-encoding", "")
    if accepts and len(content) >= _MIN_COMPRESSED_BYTES:
        content = gzip.compress(content, compresslevel=5, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return HTMLResponse(content, status, headers)
