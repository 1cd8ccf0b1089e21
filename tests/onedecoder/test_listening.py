"""Blind listening: balanced pairs, a page that names nobody, and answers that come back as a table."""

import base64
import json
import re
import shutil
import sys
from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onedecoder import UserError
from onedecoder.listening import drawn_pairs, read_answers, turned, wilson, wins
from recipes import listen
from tasks.midi.recording import best_suffix

SECONDS = 2


@pytest.fixture(scope="module")
def named_runs(run_folders, tmp_path_factory):
    """Two runs of music whose names could be found."""
    place = tmp_path_factory.mktemp("named")
    return [str(shutil.copytree(run_folders["music"], place / name)) for name in ("obvious_one", "obvious_two")]


@pytest.fixture(scope="module")
def listening_page(named_runs, tmp_path_factory):
    """The page of two runs and the test's pieces, written twice."""
    place = tmp_path_factory.mktemp("pages")
    for name in ("page.html", "again.html"):
        listen.main([*named_runs, f"--seconds={SECONDS}", "--pairs=2", f"--output={place / name}"])
    return place / "page.html"


def content(path):
    """What a page's script reads."""
    return json.loads(re.search(r'id="listening">(.*?)</script>', path.read_text(encoding="utf-8"))[1])


def key_of(page):
    """Who made what."""
    return json.loads(turned(base64.b64decode(page["key"]), page["page"]))


def saved(page, choices, listener="a", at="2026-01-01"):
    """The file that a listener saves."""
    return json.dumps({**{name: page[name] for name in ("page", "key")}, "listener": listener, "saved": at,
                       "answers": choices})  # fmt: skip


@given(st.integers(1, 4), st.integers(1, 9), st.integers(0, 2**32))
def test_every_two_meet_as_often_and_either_comes_first_in_half(sources, each, seed):
    pairs = drawn_pairs(sources, each, seed)
    assert pairs == drawn_pairs(sources, each, seed)
    count = Counter(pairs)
    for one, other in combinations(range(sources), 2):
        assert count[one, other] + count[other, one] == each
        assert abs(count[one, other] - count[other, one]) <= each % 2
    assert len(pairs) == each * sources * (sources - 1) // 2


def test_the_seed_draws_the_order():
    assert len({tuple(drawn_pairs(3, 6, seed)) for seed in range(20)}) == 20


def test_the_page_holds_every_recording_and_names_nobody(listening_page, named_runs):
    text, page = listening_page.read_text(encoding="utf-8"), content(listening_page)
    again = content(listening_page.parent / "again.html")
    assert key_of(again) == key_of(page)  # the same seed, the same order
    assert len(page["pairs"]) == 6
    recordings = [base64.b64decode(sound) for pair in page["pairs"] for sound in pair]
    begin = {".ogg": b"OggS", ".wav": b"RIFF"}[best_suffix()]
    assert all(sound.startswith(begin) and len(sound) > 5_000 for sound in recordings)
    assert len({*recordings}) == 12  # no piece is heard twice
    clear = text.encode() + b"".join(recordings) + base64.b64decode(page["key"])
    for name in (*named_runs, "obvious", listen.REAL, "own pieces"):
        assert name.encode() not in clear
    around = re.sub(r'id="listening">.*?</script>|http://www\.w3\.org/2000/svg', "", text.split("</style>")[1])
    assert "http" not in around  # as it may be in base64, by chance
    assert key_of(page)["sources"] == [*named_runs, listen.REAL]
    assert [tuple(pair) for pair in key_of(page)["pairs"]] == drawn_pairs(3, 2, 0)


def test_answers_come_back_as_wins_and_losses(listening_page, named_runs, write, capsys):
    page = content(listening_page)
    pairs = drawn_pairs(3, 2, 0)
    # The first listener likes the first run always, and can't tell the others apart; the second has begun.
    first = ["neither" if 0 not in pair else "first" if pair[0] == 0 else "second" for pair in pairs]
    second = [None] * 6
    second[pairs.index((0, 1))] = "second"
    files = [
        write("early.json", saved(page, [None] * 6)),
        write("late.json", saved(page, first, at="2026-01-02")),
        write("other.json", saved(page, second, listener="b")),
    ]
    one, two, real = *named_runs, listen.REAL
    assert read_answers(files[::-1]) == read_answers(files)[::-1]  # the last that was saved, not that is named
    rows = wins(read_answers(files))
    assert [(row["piece of"], row["against"], row["wins"], row["losses"], row["can't tell"]) for row in rows] == [
        (one, two, "2", "1", "0"),
        (one, real, "2", "0", "0"),
        (two, real, "0", "0", "2"),
    ]
    assert [row.get("wins, %") for row in rows] == ["67", "100", None]
    assert rows[0]["95 % interval"] == "21 – 94" and "95 % interval" not in rows[2]
    listen.main(["--answers", *files])
    head, *lines = capsys.readouterr().out.splitlines()
    assert "95 % interval" in head and len(lines) == 3 and lines[0].split()[-3:] == ["21", "–", "94"]


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(8, 10, 0.490162, 0.943318), (0, 5, 0.0, 0.434482), (50, 100, 0.403832, 0.596168)],
)
def test_the_interval_is_wilson_s(successes, trials, low, high):
    assert wilson(successes, trials) == pytest.approx((low, high), abs=1e-5)


def test_what_cannot_be_meant_is_one_line(run_folders, listening_page, write, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    music, page = str(run_folders["music"]), content(listening_page)
    files = {
        "no.json": "[1]",
        "text.json": "not JSON",
        "short.json": saved(page, ["first"]),
        "odd.json": saved(page, ["third"] * 6),
        "empty.json": saved(page, [None] * 6),
    }
    messages = dict.fromkeys(files, "holds no answers") | {"empty.json": "no pair is answered"}
    cases = [(["--answers", write(name, text)], messages[name]) for name, text in files.items()]
    cases += [
        ([], "name one run or more"),
        ([music, music], "name each run once"),
        ([music, "--output=page.txt"], "ends in .html"),
        ([music, "--output", write("mine.html", "<p>mine</p>")], "is there already, and no page of this recipe"),
        ([music, "--seconds=0"], "give 1 to 60"),
        ([music, "--format=mp3"], "takes an encoder: pip install"),
        ([str(run_folders["translation"])], "is a translation decoder: listen to runs that compose"),
        (["--answers", str(tmp_path / "gone.json")], "cannot be read"),
    ]
    for arguments, message in cases:
        with pytest.raises(UserError, match=message) as caught:
            listen.main(arguments)
        assert "\n" not in str(caught.value)
