"""What may follow what on the page, beside Python's grammars."""

import random

from tests.onedecoder.test_page_music import IMPORTS, midi_file, performance_of


def test_the_grammar_allows_what_python_allows(musician, music, javascript):
    """Along pieces that are written by drawing evenly from what may come."""
    task, rng = musician.task, random.Random(3)
    grammar = task.constraint()
    special = music["special"]
    events = task.vocabulary.encode(performance_of(midi_file(4)))[:41]
    prompts = [[*events, special["continue"]], [special["compose"], *events]]
    prompts += [[special[job]] for job in task.arguments.job]
    prompts += [[*events, special["accompany"]]] if "accompany" in task.arguments.job else []
    state = grammar.new_state(1, "cpu")
    lines, allowed = [], []
    for prompt in prompts:
        for length in (6, 60, 300):
            grammar.begin(state, 0, prompt, length)
            written = []
            for _ in range(length):
                mask = grammar.allowed(state)[0]
                lines.append([prompt, list(written), length - len(written)])
                allowed.append(mask.nonzero()[:, 0].tolist())
                token = rng.choice(allowed[-1])
                grammar.advance(state, mask.new_tensor([token], dtype=int))
                written.append(token)
                if token == special["end"]:
                    break
    code = (
        IMPORTS
        + """
    import { grammarOf } from "onedecoder/engine/allowed.js";
    const grammar = grammarOf(data.music, codec);
    result = data.lines.map(([prompt, written, left]) => {
      const allowed = grammar.allowed(grammar.state(prompt, written, left));
      return Array.from(allowed.keys()).filter((id) => allowed[id]);
    });
    """
    )
    assert len(lines) > 500
    for line, expected, found in zip(lines, allowed, javascript(code, {"music": music, "lines": lines}), strict=True):
        assert found == expected, line
