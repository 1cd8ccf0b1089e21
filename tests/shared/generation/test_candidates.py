import numpy as np
import pytest
import torch
from sacrebleu import sentence_chrf

from shared.errors import UserError
from shared.generation.arguments import GenerationArguments
from shared.generation.candidates import check_writing, generate_best
from shared.generation.generate import generate
from shared.mbr import consensus
from tasks.chorales.grid import ChoraleVocabulary
from tasks.chorales.task import ChoraleArguments, Chorales
from tasks.music import Music
from tasks.music.arguments import MusicArguments
from tasks.summarization import Summarization
from tasks.translation import Translation
from tasks.translation.task import TranslationArguments


@pytest.fixture
def writer(task, new_decoder):
    return new_decoder(len(task.vocabulary.tokens), context=64, dtype=torch.float64)


PROMPTS = [[3, 5, 7], [9], [3, 5, 7]]
DRAWN = {"do_sample": True, "max_new_tokens": 4, "temperature": 0.7}


def test_of_each_prompts_draws_the_consensus_is_kept(task, writer):
    settings = GenerationArguments(num_candidates=5, **DRAWN)
    streams = [3, 8, 11]
    written = generate_best(writer, task, PROMPTS, settings, seed=1, streams=streams)
    for prompt, stream, ids in zip(PROMPTS, streams, written, strict=True):
        draws = [5 * stream + candidate for candidate in range(5)]
        candidates = generate(writer, [prompt] * 5, settings, task.vocabulary, seed=1, streams=draws)
        assert len(set(map(tuple, candidates))) > 1
        outputs = [task.decode(candidate) for candidate in candidates]
        assert ids == candidates[consensus(outputs, task.utilities)]


def test_one_candidate_is_plain_generation(task, writer):
    settings = GenerationArguments(**DRAWN)
    expected = generate(writer, PROMPTS, settings, task.vocabulary, seed=1)
    assert generate_best(writer, task, PROMPTS, settings, seed=1) == expected


def test_texts_are_compared_by_chrf_and_summaries_by_rouge(task):
    texts = ["the dog and the cat", "the dogs and a cat"]
    expected = [[sentence_chrf(text, [other]).score for other in texts] for text in texts]
    assert task.utilities(texts) == pytest.approx(np.array(expected))
    # In common are 4 of 5 stems, and of 4 bigrams "the dog" and "dog and".
    shared = (4 / 5 + 2 / 4) / 2
    assert Summarization.utilities(texts) == pytest.approx(np.array([[1, shared], [shared, 1]]))


@pytest.mark.parametrize("kind", [Translation, Summarization])
def test_candidates_without_latin_letters_or_without_any_agree_where_they_are_equal(kind):
    drawn = ["что это", "Привет, мир", "Привет, мир"]
    assert consensus(drawn, kind.utilities) == 1
    assert consensus(["", "a b", ""], kind.utilities) == 0


def test_candidates_are_drawn_and_compared_or_refused():
    many = GenerationArguments(num_candidates=4, do_sample=True)
    check_writing(Translation, TranslationArguments(), many)
    check_writing(Music, MusicArguments(job=["accompany", "compose"]), many)
    check_writing(Music, MusicArguments(), GenerationArguments())
    with pytest.raises(UserError, match="--num_candidates 4: music"):
        check_writing(Music, MusicArguments(job=["compose", "accompany"]), many)
    with pytest.raises(UserError, match=r"--num_beams 2: this task writes window after window"):
        check_writing(Music, MusicArguments(), GenerationArguments(num_beams=2))
    back = GenerationArguments(num_beams=2, rerank_reverse=0.5)
    check_writing(Translation, TranslationArguments(both_directions=True), back)
    for kind, arguments in ((Translation, TranslationArguments()), (Chorales, ChoraleArguments())):
        with pytest.raises(UserError, match=r"--rerank_reverse: this .* run has not learned"):
            check_writing(kind, arguments, back)
    with pytest.raises(UserError, match="--num_candidates: chorales has no measure"):
        Chorales(ChoraleArguments(), ChoraleVocabulary()).judge({})
    with pytest.raises(UserError, match=r"--num_candidates 4 .*--do_sample"):
        GenerationArguments(num_candidates=4).check()
    with pytest.raises(UserError, match="--num_candidates is 0"):
        GenerationArguments(num_candidates=0).check()
