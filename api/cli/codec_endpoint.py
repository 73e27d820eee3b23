"""`assay codec-endpoint`: decodes what Temporal's UI shows, for one person on this machine."""

from typing import Annotated

import typer

from api.cli import screens
from api.cli.command import finish
from core.embedded.ports import CODEC_PORT
from core.errors import Misconfigured
from core.settings import Settings


def register(app: typer.Typer) -> None:
    app.command("codec-endpoint")(codec_endpoint)


def codec_endpoint(
    origin: Annotated[
        list[str] | None,
        typer.Option(
            help="Address of Temporal's UI as the browser shows it, such as "
            "https://cloud.temporal.io. Repeatable. Default: the UI of `assay up`."
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = CODEC_PORT,
) -> None:
    """Decode payloads for Temporal's UI until Ctrl-C.

    The endpoint listens on 127.0.0.1 only and answers web pages of the given origins only. Enter
    its address in the UI under "Data Encoder".
    """
    finish(lambda: _serve(origin, port))


async def _serve(origins: list[str] | None, port: int) -> None:
    # The server and Temporal's client are slow to import, and only this command needs them.
    import uvicorn

    from api.cli.codec_server import endpoint
    from core.temporal.payload_codec import load_codec

    settings = Settings.read()
    codec = load_codec(settings.temporal_codec, settings.temporal_codec_keys)
    if codec is None:
        raise Misconfigured(
            "ASSAY_TEMPORAL_CODEC is not set, so Temporal's payloads are not encoded."
        )
    own_ui = [f"http://{host}:{settings.temporal_ui_port}" for host in ("127.0.0.1", "localhost")]
    app = endpoint(codec, origins or own_ui)
    screens.note(f"Temporal's UI, Data Encoder: http://127.0.0.1:{port}")
    config = uvicorn.Config(app, "127.0.0.1", port, log_level="warning", server_header=False)
    await uvicorn.Server(config).serve()
