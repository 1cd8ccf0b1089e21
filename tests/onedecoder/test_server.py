"""The local page's server agrees with the page's own engine, refuses what is not for it, and keeps visitors apart."""

import copy
import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from onedecoder import page
from onedecoder.core import UserError
from onedecoder.engine import Engine, window_start
from onedecoder.export import exported
from shared.writing import latter_half
from tests.onedecoder.quantised import with_quantised_weights

pytest.importorskip("starlette", reason="the server needs Starlette: pip install -e .[explore]")


@pytest.fixture(scope="module")
def served(serving, decoders):
    """The port of a server of a translation's and a composer's decoder."""
    with serving([decoders["translation"], decoders["music"]], ["A dog.", "<b>bold</b>"]) as port:
        yield port


@pytest.fixture
def ask(served):
    """Status, headers and body of one question."""

    def ask(method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", served, timeout=60)
        body = json.dumps(body) if isinstance(body, dict) else body
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()

    return ask


def message(answer):
    return json.loads(answer[2])["error"]


def test_the_page_comes_with_every_file_that_it_names(ask):
    status, headers, body = ask("GET", "/")
    html = body.decode()
    assert status == 200 and "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "unsafe-inline" not in headers["Content-Security-Policy"].split("style-src")[0]
    for name in page.modules():
        address = name.replace("onedecoder/", "/page/")
        assert f'"{name}": "{address}"' in html
        status, headers, body = ask("GET", address)
        assert (status, body.decode()) == (200, page.modules()[name])
        assert headers["Content-Type"].startswith("text/javascript")
    for name in page.STYLES:
        assert f'href="/page/{name}"' in html
        status, headers, body = ask("GET", f"/page/{name}")
        assert status == 200 and headers["Content-Type"].startswith("text/css")
        assert body.decode() == (page.FOLDER / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "path", ["/page/../server.py", "/page/..%2fserver.py", "/page/engine/none.js", "/server.py", "/api/9/x"]
)
def test_nothing_else_is_given_away(ask, path):
    assert ask("GET", path)[0] in {404, 405}


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_only_its_own_page_is_answered(ask, headers):
    for method, path in (("GET", "/"), ("GET", "/api/decoders"), ("POST", "/api/0/prompt")):
        answer = ask(method, path, {"text": "A dog.", "separator": 0} if method == "POST" else None, **headers)
        assert answer[0] == 403 and "answers only" in message(answer)


def test_its_own_page_is_answered(ask, served):
    for host in (f"127.0.0.1:{served}", f"localhost:{served}"):
        question = {"text": "A dog.", "separator": 0}
        assert (
            ask("POST", "/api/0/prompt", question, Host=host, Origin=f"http://{host}", Sec_Fetch_Site="same-origin")[0]
            == 200
        )


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/api/0/prompt", {"text": "", "separator": 0}, "nothing to write for"),
        ("/api/0/prompt", {"text": " \n", "separator": 0}, "nothing to write for"),
        ("/api/0/prompt", {"text": "x" * 1_000_001, "separator": 0}, "longer than a million"),
        ("/api/0/prompt", {"text": "x" * 2_200_000, "separator": 0}, "larger than 2 MB"),
        ("/api/0/midi_prompt", b"MThd", "reads text"),
        ("/api/1/prompt", {"text": "A dog.", "separator": 0}, "writes music"),
        ("/api/1/midi_prompt", b"A text file, renamed.", "not a sound MIDI file"),
        ("/api/1/midi_prompt?job=dance", b"MThd", "dance"),
        ("/api/0/next", {"ids": [1] * 64, "context": 3}, "end of the decoder's context"),
        ("/api/0/next", {"ids": [], "context": 0}, "no line of this decoder"),
        ("/api/0/next", {"ids": [999_999], "context": 0}, "no line of this decoder"),
        ("/api/0/next", {"ids": [1], "context": 5}, "no line of this decoder"),
        ("/api/0/trace/head", {"ids": [1], "context": 1, "layer": 9, "head": 0, "position": 0}, "no layer 9"),
        ("/api/0/trace/save", {"ids": [1], "context": 1, "path": "x"}, "nothing called"),
        ("/api/0/next", b"{", "makes no sense"),
        ("/api/0/next", {"ids": "all"}, "makes no sense"),
        ("/api/7/next", {"ids": [1], "context": 0}, "no such decoder"),
    ],
)
def test_what_cannot_be_meant_is_named(ask, path, body, said):
    answer = ask("POST", path, body)
    assert 400 <= answer[0] < 500 and said in message(answer)
    assert "/tmp" not in message(answer)


def test_an_upload_of_a_hundred_megabytes_is_refused_before_it_is_read(served):
    connection = http.client.HTTPConnection("127.0.0.1", served, timeout=10)
    connection.putrequest("POST", "/api/1/midi_prompt")
    connection.putheader("Content-Length", str(100_000_000))
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413 and "larger than 2 MB" in json.loads(answer.read())["error"]


def test_a_prompt_over_the_context_is_cut_and_says_so(ask):
    found = json.loads(ask("POST", "/api/0/prompt", {"text": "dog " * 100, "separator": 0})[2])
    assert found["read"] == {"count": 31, "of": found["read"]["of"], "from": "beginning"} and found["context"] < 64


def test_two_visitors_do_not_mix(ask, decoders):
    """Many at once, each with a line of its own, get what each would get alone."""
    rng = np.random.default_rng(0)
    lines = [rng.integers(0, 300, 20).tolist() for _ in range(6)]
    alone = [decoders["translation"].trace_ids(ids, 5)["logits"] for ids in lines]

    def visit(number):
        for length in range(5, 21):
            body = ask("POST", "/api/0/next", {"ids": lines[number][:length], "context": 5})[2]
            np.testing.assert_allclose(np.frombuffer(body, "<f4"), alone[number][length - 1], atol=1e-4)
        return number

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(visit, range(6))) == list(range(6))


COMPARED = """
import { LocalEngine } from "onedecoder/engine/local.js";
const engine = new LocalEngine(data.page), { ids, context } = data, trace = await engine.trace(ids, context);
const next = await engine.next(ids, context), head = await trace.head(1, 2, 9);
result = {
  next: next.logits, allowed: next.allowed,
  attention: await trace.attention(1, 2), mean: await trace.attention(0, "mean"),
  head: ["q", "k", "v", "scores", "relative", "weights", "mixed"].flatMap((part) => Array.from(head[part] ?? [])),
  overview: (await trace.overview(10)).flatMap((part) => Array.from(part)),
  large: (await trace.overview(70)).flatMap((part) => Array.from(part)),
  up: await trace.vectors("up", 1, 9), q: await trace.vectors("q", 1, 9), final: await trace.vectors("final", 1, 9),
  lens: await trace.lens(9), scores: await trace.scores(9),
  ...(data.page.config.copy ? { copied: await trace.copied(9), pointer: await trace.pointer() } : {}),
};
"""


def test_both_engines_say_the_same(decoder, javascript, numbers):
    same = copy.copy(decoder)
    same.model = with_quantised_weights(decoder.model)
    engine = Engine(same)
    rng = np.random.default_rng(1)
    ids = (decoder.prompt("A dog." if decoder.task.needs_input else "").context * 3)[:8]
    context = len(ids)
    ids = [*map(int, ids), *rng.integers(0, decoder.model.config.vocab_size, 30).tolist()]
    found = javascript(COMPARED, {"page": json.loads(exported(decoder)), "ids": ids, "context": context})
    trace = engine.trace(ids, context)
    logits, allowed = engine.next(ids, context)
    expected = {
        "next": logits,
        "attention": engine.attention(trace, 1, 2),
        "mean": engine.attention(trace, 0, "mean"),
        "head": engine.head(trace, 1, 2, 9),
        "overview": engine.overview(trace, 10),
        "large": engine.overview(trace, 70),
        "up": engine.vectors(trace, "up", 1, 9),
        "q": engine.vectors(trace, "q", 1, 9),
        "final": engine.vectors(trace, "final", 0, 9),
        "scores": engine.scores(trace, 9),
    }
    if decoder.model.copying is not None:
        found["copied"] = [found["copied"]["gate"], *found["copied"]["weights"]]
        expected |= {"copied": engine.copied(trace, 9), "pointer": engine.pointer(trace)}
    for name, values in expected.items():
        np.testing.assert_allclose(numbers(found[name]), values.ravel(), atol=1e-3, err_msg=name)
    assert (found["allowed"] is None) == (allowed is None)
    if allowed is not None:
        assert found["allowed"] == allowed.astype(int).tolist()
    for one, other in zip(found["lens"], engine.lens(trace, 9), strict=True):
        assert [share["p"] for share in one["top"]] == pytest.approx([share["p"] for share in other["top"]], abs=1e-3)


@pytest.mark.parametrize("name", ["translation", "summarization relative", "music"])
def test_kept_keys_and_values_change_nothing(name, decoders):
    decoder = decoders[name]
    engine, rng = Engine(decoder), np.random.default_rng(2)
    line = rng.integers(0, decoder.model.config.vocab_size, 40).tolist()
    expected = decoder.trace_ids(line, 10)["logits"]
    for length in [10, 11, 12, 30, 40, 15, 10, 40]:
        np.testing.assert_allclose(engine.next(line[:length], 10)[0], expected[length - 1], atol=1e-4)


def test_what_is_kept_under_a_prefix_mask_belongs_to_its_context(decoders):
    """The same tokens, of which more are given: those see more of each other."""
    decoder = decoders["summarization relative"]
    engine, line = Engine(decoder), np.random.default_rng(3).integers(0, 300, 30).tolist()
    for context in (10, 20, 10, 5):
        expected = decoder.trace_ids(line, context)["logits"][-1]
        np.testing.assert_allclose(engine.next(line, context)[0], expected, atol=1e-4)


@pytest.mark.parametrize("settings", [{"no_repeat_ngram_size": 1}, {"no_repeat_ngram_size": 3, "min_new_tokens": 20}])
def test_both_engines_rule_out_what_the_settings_do(settings, translator, javascript):
    decoder = replace(translator, generation=replace(translator.generation, **settings))
    engine, end = Engine(decoder), decoder.task.vocabulary.end
    lines = [[9, 5, 6, 7, 5, 6], [9, 5, 6, 7, 8] * 5, [9], [9, 5, 5, 5], [9, 5]]
    code = """
    import { allowedAfter } from "onedecoder/engine/allowed.js";
    result = data.lines.map((ids) => allowedAfter(data.page, null, ids, 1));
    """
    page_data = {"about": engine.description["about"], "music": None}
    for ids, found in zip(lines, javascript(code, {"page": page_data, "lines": lines}), strict=True):
        expected = engine.next(ids, 1)[1]
        assert (found or [1] * len(expected)) == expected.astype(int).tolist()
        assert expected[end] == (len(ids) > 20 or "min_new_tokens" not in settings)
    assert not engine.next(lines[0], 1)[1][7]


def test_a_taken_port_is_named(served, translator):
    from onedecoder.server import serve  # noqa: PLC0415

    with pytest.raises(UserError, match="give another, or 0"):
        serve([translator], None, served)


def test_the_page_is_served_to_this_machine_alone(translator, monkeypatch, capsys):
    import uvicorn  # noqa: PLC0415 (an extra)

    from onedecoder.server import serve  # noqa: PLC0415

    bound = []
    monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: bound.extend(sockets))
    serve([translator], None, 0)
    (listening,) = bound
    host, port = listening.getsockname()
    listening.close()
    assert host == "127.0.0.1" and f"http://127.0.0.1:{port}/" in capsys.readouterr().err


def test_midi_files_are_read_on_the_server(ask, tmp_path, composer):
    path = composer.compose(seconds=3, max_new_tokens=30).save(tmp_path / "a.mid")
    found = json.loads(ask("POST", "/api/1/midi_prompt?job=continue", path.read_bytes())[2])
    assert found["ids"] == list(composer.prompt(str(path), job="continue").context)


@pytest.mark.parametrize("context", [8, 9])
def test_the_page_reads_from_where_writing_does(context):
    start = 0
    for length in range(1, 10 * context):
        if length - start == context:
            start = length - len(latter_half([0], [0] * (length - 1), context).ids)
        assert window_start(length, context, sliding=True) == start
    with pytest.raises(UserError, match="the end of the decoder's context"):
        window_start(context, context, sliding=False)
