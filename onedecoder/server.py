"""The local page: one's own decoder behind a small server, which answers only the page that it sent.

Bound to 127.0.0.1. A page of another origin, or a name that was made to point here, gets no answer; an upload may be
2 MB.
"""

import base64
import hashlib
import json
import os
import re
import socket
import sys
import webbrowser
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np

from onedecoder import page
from onedecoder.core import UserError
from onedecoder.decoder import LoadedDecoder
from onedecoder.engine import Engine

try:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import HTMLResponse, JSONResponse, Response
    from starlette.routing import Route
except ImportError as error:
    raise UserError("the local page needs Starlette and uvicorn: pip install -e .[explore]") from error

HOST = "127.0.0.1"
LARGEST = 2_100_000  # bytes of a question
TRACED = ("attention", "overview", "vectors", "head", "lens", "logits", "scores", "copied", "pointer")
TYPES = {".js": "text/javascript", ".css": "text/css"}


def application(decoders: list[LoadedDecoder], inputs: list[str] | None, port: int) -> "OwnOriginOnly":
    """The server's application; `inputs` are offered as examples."""
    engines = [Engine(decoder, inputs) for decoder in decoders]
    html = page.served()

    async def show(request: Request) -> Response:
        return HTMLResponse(html, headers={"Content-Security-Policy": _policy(html)})

    async def file(request: Request) -> Response:
        name = request.path_params["name"]
        if name in page.STYLES:
            return Response((page.FOLDER / name).read_text(encoding="utf-8"), media_type=TYPES[".css"])
        text = page.modules().get(f"onedecoder/{name}")
        return Response(text, media_type=TYPES[".js"]) if text else _refusal(404, "There is no such file.")

    async def list_decoders(request: Request) -> Response:
        return JSONResponse([engine.description for engine in engines])

    async def ask(request: Request) -> Response:
        number, what = request.path_params["number"], request.path_params["what"]
        if number >= len(engines):
            return _refusal(404, "There is no such decoder: reload the page.")
        try:
            body = await request.body()  # no more than was announced: the server cuts off what exceeds Content-Length
            return await run_in_threadpool(answer, engines[number], what, body, request.query_params.get("job", ""))
        except UserError as error:
            return _refusal(400, str(error))
        except (KeyError, TypeError, ValueError):  # a question in another form than the page's
            return _refusal(400, "This question makes no sense to the server: reload the page.")

    routes = [
        Route("/", show),
        Route("/page/{name:path}", file),
        Route("/api/decoders", list_decoders),
        Route("/api/{number:int}/{what:path}", ask, methods=["POST"]),
    ]
    return OwnOriginOnly(Starlette(routes=routes), port)


def answer(engine: Engine, what: str, body: bytes, job: str) -> Response:
    """One question to one decoder. Arrays are sent as little-endian 32-bit floats.

    Raises:
        UserError: if there is nothing of that name, or what it asks for.
    """
    if what == "midi_prompt":
        return JSONResponse(engine.midi_prompt(body, job))
    question = json.loads(body)
    if what == "prompt":
        return JSONResponse(engine.prompt(str(question["text"]), int(question["separator"])))
    ids = [int(index) for index in question["ids"]]
    if what == "text":
        return JSONResponse({"text": engine.text(ids)})
    context = int(question["context"])
    if what == "next":
        logits, allowed = engine.next(ids, context)
        return _floats(logits, b"" if allowed is None else allowed.astype(np.uint8).tobytes())
    trace = engine.trace(ids, context)
    if what == "trace":
        return JSONResponse({"length": len(trace.ids)})
    detail = what.removeprefix("trace/")
    if detail not in TRACED:
        raise UserError(f"There is nothing called '{what}' here.")
    found = getattr(engine, detail)(trace, **{name: question[name] for name in question.keys() - {"ids", "context"}})
    return _floats(found) if isinstance(found, np.ndarray) else JSONResponse(found)


class OwnOriginOnly:
    """Answers only who calls this server by its own name, from a page that it sent, with a body not too large."""

    def __init__(self, app: Callable[..., Awaitable[None]], port: int):
        self.app = app
        self.hosts = {f"{name}:{port}" for name in (HOST, "localhost")}

    async def __call__(self, scope: dict[str, Any], receive: Callable, send: Callable) -> None:
        if scope["type"] == "http" and (reason := self.refuses(Request(scope))):
            await _refusal(*reason)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def refuses(self, request: Request) -> tuple[int, str] | None:
        """Status and message, or None."""
        headers = request.headers
        host, origin = headers.get("host", ""), headers.get("origin")
        if host not in self.hosts:
            return 403, "This server answers only by its own name."
        if origin is not None and origin != f"http://{host}":
            return 403, "This server answers only its own page."
        if headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}:
            return 403, "This server answers only its own page."
        if request.method == "POST" and not headers.get("content-length", "").isdigit():
            return 411, "The server must be told how long a question is."
        if int(headers.get("content-length") or 0) > LARGEST:
            return 413, "What was sent is larger than 2 MB: give a shorter text or file."
        return None


def _floats(values: np.ndarray, more: bytes = b"") -> Response:
    return Response(values.astype("<f4").tobytes() + more, media_type="application/octet-stream")


def _refusal(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status)


def _policy(html: str) -> str:
    """Scripts are this server's own, and those that stand in the page as it was made."""
    inline = re.findall(r"<script[^>]*>(.*?)</script>", html, flags=re.DOTALL)
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in inline
    )
    return (
        f"default-src 'none'; script-src 'self' {hashes}; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
        "img-src 'self' data: blob:; media-src data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def serve(decoders: list[LoadedDecoder], inputs: list[str] | None, port: int) -> None:
    """Serve the page until it is interrupted.

    Raises:
        UserError: if the port is taken.
    """
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except (OSError, OverflowError) as error:
        listening.close()
        raise UserError(f"--port {port}: {error}; give another, or 0 for any that is free") from error
    port = listening.getsockname()[1]
    address = f"http://{HOST}:{port}/"
    server = uvicorn.Server(uvicorn.Config(application(decoders, inputs, port), log_level="warning"))
    print(f"{address} shows {' and '.join(decoder.name for decoder in decoders)}; Ctrl-C ends it", file=sys.stderr)
    if sys.platform in {"darwin", "win32"} or {"DISPLAY", "WAYLAND_DISPLAY"} & {*os.environ}:
        webbrowser.open(address)  # over SSH it would open a browser of text, in this terminal
    server.run(sockets=[listening])
