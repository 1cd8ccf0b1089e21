"""The pages' files put together: as one file with everything in it, or as links to a server."""

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "page"
EXPLORING = {
    "title": "The Illustrated GPT-2, live",
    "closing": "After Jay Alammar's "
    '<a href="https://jalammar.github.io/illustrated-gpt2/" rel="noopener" target="_blank">The Illustrated GPT-2</a>.\n'
    "  Every number on this page is this decoder's own.",
}
LISTENING = {
    "title": "Listening in pairs",
    "closing": "Your answers stay in this browser until you save them as a file. This page fetches and sends nothing.",
}
STYLES = ("style.css", "views/views.css")
START = """<script type="module">
import { start } from "onedecoder/views/app.js";
import { openEngines } from "onedecoder/engine/open.js";
start(() => openEngines(document));
</script>"""
# Nothing is fetched, by the page or by anything that could get into it. The server of an exported page may set less.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' data:; style-src 'unsafe-inline'; "
    "img-src data: blob:; media-src data: blob:; base-uri 'none'; form-action 'none'"
)


@cache
def modules() -> dict[str, str]:
    """The page's JavaScript by the names that modules import each other by."""
    files = sorted(path for room in ("engine", "views") for path in (FOLDER / room).glob("*.js"))
    return {f"onedecoder/{path.parent.name}/{path.name}": path.read_text(encoding="utf-8") for path in files}


def import_map(address: Callable[[str], str], names: Iterable[str] | None = None) -> str:
    """The script that tells a browser where each module is, or each of these `names`."""
    imports = {name: address(name) for name in names or modules()}
    return f'<script type="importmap">{json.dumps({"imports": imports})}</script>'


def whole(decoders: list[str], kind: str) -> str:
    """One file: styles, modules and `decoders` (JSON, each a `decoder` or a `recording`), nothing fetched."""
    scripts = [
        f'<script type="application/json" data-onedecoder="{kind}">{_inside_script(text)}</script>' for text in decoders
    ]
    return _filled(EXPLORING, _style(*STYLES), import_map(_data), "\n".join([*scripts, START]))


def listening(content: str) -> str:
    """One file of pieces to listen to, nothing fetched; `content` is the JSON that its script reads."""
    script = (FOLDER / "listening" / "listening.js").read_text(encoding="utf-8")
    return _filled(
        LISTENING,
        style=_style("style.css", "listening/listening.css"),
        imports=import_map(_data, ("onedecoder/views/dom.js", "onedecoder/views/theme.js")),
        engine=f'<script type="application/json" id="listening">{_inside_script(content)}</script>\n'
        f'<script type="module">\n{script}</script>',
    )


def served() -> str:
    """The same as links to a server."""
    return _filled(
        EXPLORING,
        style="\n".join(f'<link rel="stylesheet" href="/page/{name}">' for name in STYLES),
        imports=import_map(lambda name: name.replace("onedecoder/", "/page/", 1)),
        engine=START,
    )


def _style(*names: str) -> str:
    """Style sheets within the page, after the policy that lets nothing be fetched."""
    sheets = "".join((FOLDER / name).read_text(encoding="utf-8") for name in names)
    return f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n<style>\n{sheets}</style>'


def _data(name: str) -> str:
    """A module as an address that holds it."""
    return "data:text/javascript;base64," + _base64(modules()[name])


def _filled(words: Mapping[str, str], style: str, imports: str, engine: str) -> str:
    """The shell of every page, with its own words and with what it runs."""
    page = (FOLDER / "index.html").read_text(encoding="utf-8")
    # What runs comes last: nothing is looked for in it.
    for mark, content in {**words, "style": style, "import map": imports, "engine": engine}.items():
        assert f"<!-- {mark} -->" in page, mark
        page = page.replace(f"<!-- {mark} -->", content)
    return page


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")


def _inside_script(text: str) -> str:
    """JSON that cannot end the script it stands in, whatever a vocabulary or an input spells."""
    return text.replace("<", "\\u003c")
