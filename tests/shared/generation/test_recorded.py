"""What one call of `generate` leaves for the next; on a GPU as it is, on a CPU as if that kept it, too."""

import gc
import weakref
from types import SimpleNamespace

import pytest
import torch

from shared.generation import recorded, recorded_reading
from shared.generation.arguments import GenerationArguments
from shared.generation.cuda_graph import SHORT
from shared.generation.generate import generate
from shared.generation.recorded_reading import RecordedReading

VOCABULARY = SimpleNamespace(end=-1)  # slots that end early are dropped on a CPU
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
PROMPTS = [[5, 6, 7], [9, 4, 3, 2]]
LONG = 40  # tokens, enough for a GPU to record


@pytest.fixture(autouse=True)
def steps(monkeypatch):
    """The steps that were made, in order."""
    made, new_step = [], recorded.new_step
    monkeypatch.setattr(recorded, "DEVICES", {DEVICE.type})
    monkeypatch.setattr(recorded, "new_step", lambda *given: made.append(new_step(*given)) or made[-1])
    return made


@pytest.fixture(autouse=True)
def readings(monkeypatch):
    """How often each reading was replayed that was recorded, in order; on a CPU, as if that recorded them."""
    counts, captured = [], recorded_reading.captured

    def counted(read, pool):
        graph, number = captured(read, pool) if DEVICE.type == "cuda" else SimpleNamespace(replay=read), len(counts)
        counts.append(0)

        def replay():
            counts[number] += 1
            graph.replay()

        return SimpleNamespace(replay=replay)

    monkeypatch.setattr(recorded_reading, "captured", counted)
    if DEVICE.type == "cpu":
        monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: None)
    return counts


@pytest.fixture(params=[0, 5], ids=["plain", "copying"])
def decoder(new_decoder, request):
    return new_decoder(copy_attention=request.param).to(DEVICE)


def written(decoder, prompts=PROMPTS, seed=3, dtype=torch.bfloat16, vocabulary=VOCABULARY, **changes):
    """By default in bfloat16, which the weights have to be copied to."""
    settings = GenerationArguments(**{"max_new_tokens": LONG, "do_sample": True} | changes)
    with torch.autocast(DEVICE.type, dtype):
        return generate(decoder, prompts, settings, vocabulary, seed=seed)


def test_the_next_call_writes_what_a_new_step_would(decoder, steps):
    calls = [(PROMPTS, 3), (PROMPTS, 4), ([[1], [2, 3, 4, 5, 6]], 4), (PROMPTS, 3)]
    found = [written(decoder, prompts, seed) for prompts, seed in calls]
    assert len(steps) == 1
    recorded._kept.clear()
    for (prompts, seed), ids in zip(calls, found, strict=True):
        assert written(decoder, prompts, seed) == ids
        recorded._kept.clear()
    assert len(steps) == 1 + len(calls)
    assert found[0] != found[1]


def test_prompts_are_read_as_others_of_their_shape(decoder, steps, readings, monkeypatch):
    monkeypatch.setattr(recorded_reading, "LENGTHS", 4)
    monkeypatch.setattr(recorded_reading, "SHAPES", 2)
    monkeypatch.setattr(recorded_reading, "TOKENS", 2 * 12)
    calls = {  # prompts, the shapes that are recorded by then, and how often each recording was replayed
        "new": (PROMPTS, [(2, 4)], [0]),
        "known": ([[8, 7], [3, 1, 2]], [(2, 4)], [1]),
        "longer": ([[7] * 9, [1, 2]], [(2, 4), (2, 12)], [1, 0]),
        "too long": ([[7] * 13, [1, 2]], [(2, 4), (2, 12)], [1, 0]),
        "two the same": ([[2, 2], [2, 2]], [(2, 4), (2, 12)], [1, 0]),
        "the longer's shape": ([[5] * 10, [1, 2]], [(2, 4), (2, 12)], [1, 1]),
        "one too many": ([[8, 7, 6, 5, 4], [3]], [(2, 8)], [1, 1, 0]),
        "forgotten": (PROMPTS, [(2, 8), (2, 4)], [1, 1, 0, 0]),
    }
    settings = GenerationArguments(max_new_tokens=SHORT)
    found = []
    for prompts, shapes, replayed in calls.values():
        found.append(generate(decoder, prompts, settings, VOCABULARY))
        assert [*steps[0].recorded_reading.shapes] == shapes and readings == replayed
    assert len(steps) == 1
    monkeypatch.setattr(recorded, "DEVICES", set())
    assert [generate(decoder, prompts, settings, VOCABULARY) for prompts, *_ in calls.values()] == found


def test_it_has_the_weights_of_its_time(decoder, steps):
    before = written(decoder)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.mul_(1.5)
    after = written(decoder)
    assert len(steps) == 1
    recorded._kept.clear()
    assert written(decoder) == after != before


@pytest.mark.parametrize(
    "changes",
    [
        *({"temperature": 2.0}, {"max_new_tokens": LONG + 1}, {"prompts": PROMPTS[:1]}, {"do_sample": False}),
        *({"dtype": torch.float16}, {"vocabulary": SimpleNamespace(end=0)}),
    ],
    ids=str,
)
def test_other_settings_have_a_step_of_their_own(decoder, steps, changes):
    written(decoder)
    written(decoder, **changes)
    assert len(steps) == 2


def test_fewer_tokens_are_written_by_the_step_for_more(decoder, steps):
    written(decoder)
    fewer = written(decoder, max_new_tokens=LONG // 4, seed=4)
    assert len(steps) == 1 and {*map(len, fewer)} == {LONG // 4}
    recorded._kept.clear()
    assert written(decoder, max_new_tokens=LONG // 4, seed=4) == fewer


def test_weights_elsewhere_have_a_step_of_their_own(decoder, steps):
    written(decoder)
    decoder.transformer.wpe.weight.data = decoder.transformer.wpe.weight.data.clone()
    written(decoder)
    assert len(steps) == 2


def test_what_is_large_is_not_kept(decoder, steps, monkeypatch):
    monkeypatch.setattr(recorded, "MOST", 1000)
    written(decoder)
    assert decoder not in recorded._kept


def test_it_goes_with_its_decoder(new_decoder):
    decoder = new_decoder().to(DEVICE)
    written(decoder)
    step = weakref.ref(recorded._kept[decoder])
    del decoder
    gc.collect()
    assert step() is None


def test_a_call_that_fails_leaves_nothing(decoder, monkeypatch):
    written(decoder)
    monkeypatch.setattr(RecordedReading, "__call__", lambda *given: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        written(decoder)
    assert decoder not in recorded._kept


def test_what_needs_the_memory_otherwise_keeps_nothing(decoder):
    written(decoder)
    assert decoder in recorded._kept
    written(decoder, num_beams=2, do_sample=False)
    assert decoder not in recorded._kept


def test_room_for_very_many_tokens_is_not_kept(decoder, monkeypatch):
    monkeypatch.setattr(recorded, "MOST", 10**6)
    for longest, kept in ((LONG, True), (10**5, False)):
        step = recorded.recorded_step(decoder, 4, 8, longest, GenerationArguments(), -1, None)
        recorded.keep(decoder, step)
        assert (decoder in recorded._kept) == kept
