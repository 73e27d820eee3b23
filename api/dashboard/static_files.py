"""The stylesheet and the scripts, under names that contain a hash of their content."""

import mimetypes
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Response

from core.errors import NotFound

_FOLDER: Final = Path(__file__).parent / "static"
_A_YEAR: Final = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class StaticFile:
    address: str
    content: bytes
    media_type: str


def _read(path: Path) -> StaticFile:
    content = path.read_bytes()
    digest = sha256(content).hexdigest()[:12]
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if path.suffix == ".js":
        media_type = "text/javascript"
    return StaticFile(f"/ui/static/{path.stem}.{digest}{path.suffix}", content, media_type)


_FILES: Final = {path.name: _read(path) for path in sorted(_FOLDER.iterdir()) if path.is_file()}
_BY_NAME: Final = {file.address.rpartition("/")[2]: file for file in _FILES.values()}

router = APIRouter(prefix="/ui/static", include_in_schema=False)


def address(name: str) -> str:
    """The address of a file, which changes with its content."""
    return _FILES[name].address


@router.get("/{name}")
async def static_file(name: str) -> Response:
    file = _BY_NAME.get(name)
    if file is None:
        raise NotFound("file", name)
    return Response(
        file.content,
        media_type=file.media_type,
        headers={"Cache-Control": f"public, max-age={_A_YEAR}, immutable"},
    )
