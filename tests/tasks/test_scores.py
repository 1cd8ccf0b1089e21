"""The text scores: the libraries' figures, defined ends, and the same through `evaluate`."""

import math
from pathlib import Path

import evaluate
import numpy as np
import pytest
import sacrebleu
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

import tasks
from shared.errors import UserError
from tasks.summarization.naming import from_source, is_named, names, subject
from tasks.summarization.ngrams import fragments
from tasks.summarization.scores import agreement
from tasks.summarization.scores import compare as compare_summaries
from tasks.summarization.scores import score as score_summaries
from tasks.summarization.sentences import first_sentences, openings
from tasks.translation.scores import compare as compare_translations
from tasks.translation.scores import score as score_translations

HYPOTHESES = ["Ein Mann mit einem Hut.", "Zwei Hunde spielen im Schnee.", ""]
REFERENCES = ["Ein Mann mit einem orangefarbenen Hut.", "Zwei Hunde spielen im tiefen Schnee.", "Komm herein."]
SUMMARIES = ["The cats were sitting. They slept on the mat all day.", "one two three one two three"]
LEADS = ["They slept all day. A cat sat on the mat!", "one two three four"]
DOCUMENTS = ["The cats were sitting on the mat all day and slept, they did.", "one two four"]


def test_translation_scores_are_sacrebleus():
    scores = score_translations(HYPOTHESES, REFERENCES, ter=True)
    assert scores["bleu"] == pytest.approx(sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES]).score)
    # By hand: 12 of 12 tokens, 8 of 10 pairs, 4 of 8 triples, 2 of 6 quadruples; 12 tokens for the reference's 17.
    assert scores["bleu"] == pytest.approx(100 * math.exp(1 - 17 / 12) * (8 / 10 * 4 / 8 * 2 / 6) ** 0.25)
    assert scores["chrf"] == pytest.approx(sacrebleu.corpus_chrf(HYPOTHESES, [REFERENCES]).score)
    assert scores["ter"] == pytest.approx(sacrebleu.corpus_ter(HYPOTHESES, [REFERENCES]).score)
    assert "|case:mixed|eff:no|tok:13a|smooth:exp|" in scores["bleu_signature"]
    assert "seed:12345" in scores["bleu_signature"] and "nc:6" in scores["chrf_signature"]
    assert scores["bleu_low"] < scores["bleu"] < scores["bleu_high"]
    assert scores == score_translations(HYPOTHESES, Dataset.from_dict({"de": REFERENCES})["de"], ter=True)


def test_the_papers_bleu_is_of_lower_cased_text():
    outputs = ["ein mann, mit 1,5 HÜTEN.", *HYPOTHESES[1:]]
    scores = score_translations(outputs, REFERENCES)
    lower = [[text.lower() for text in texts] for texts in (outputs, REFERENCES)]
    assert scores["bleu_lowercase_tokenized"] == pytest.approx(sacrebleu.corpus_bleu(lower[0], [lower[1]]).score)
    assert "|case:lc|eff:no|tok:13a|" in scores["bleu_lowercase_tokenized_signature"]
    assert scores["bleu_lowercase_tokenized"] > scores["bleu"]


def test_perfect_and_empty_translations():
    perfect = score_translations(REFERENCES, REFERENCES)
    assert perfect["bleu"] == pytest.approx(100) and perfect["chrf"] == pytest.approx(100)
    assert perfect["exact"] == 100 and score_translations(HYPOTHESES, [*HYPOTHESES[:2], "x"])["exact"] == 200 / 3
    empty = score_translations(["", ""], REFERENCES[:2], ter=True)
    zeros = dict.fromkeys(("bleu", "bleu_low", "bleu_high", "bleu_lowercase_tokenized", "chrf", "exact"), 0.0)
    assert {name: value for name, value in empty.items() if "signature" not in name} == zeros | {"ter": 100.0}


@pytest.fixture(scope="module")
def summary_scores():
    return score_summaries(SUMMARIES, LEADS, DOCUMENTS)


def test_summary_scores_are_rouge_scores(summary_scores):
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"], use_stemmer=True)
    lines = [text.replace(". ", ".\n") for text in (SUMMARIES[0], LEADS[0])]
    expected = [scorer.score(lines[1], lines[0]), scorer.score(LEADS[1], SUMMARIES[1])]
    for name in ("rouge1", "rouge2", "rougeL", "rougeLsum"):
        assert summary_scores[name] == pytest.approx(50 * sum(row[name].fmeasure for row in expected))
        assert summary_scores[f"{name}_low"] <= summary_scores[name] <= summary_scores[f"{name}_high"]
    assert summary_scores["rougeLsum"] > summary_scores["rougeL"]  # the sentences' order does not count


def test_a_score_is_the_mean_in_an_interval_of_95_per_cent():
    """Of 100 summaries 40 are perfect: the standard error of the mean is 100 * (0.4 * 0.6 / 100) ** 0.5, 4.9."""
    references = [f"the {number} cats" for number in range(100)]
    summaries = [text if number < 40 else "nothing" for number, text in enumerate(references)]
    np.random.seed(1)
    before = np.random.get_state()[1].copy()
    scores = score_summaries(summaries, references)
    assert (np.random.get_state()[1] == before).all()
    for name in ("rouge1", "rougeL"):
        assert scores[name] == pytest.approx(40)
        bounds = scores[f"{name}_low"], scores[f"{name}_high"]
        assert bounds == pytest.approx((40 - 1.96 * 4.9, 40 + 1.96 * 4.9), abs=1.5)
    np.random.seed(2)
    assert score_summaries(summaries, references) == scores


def test_the_score_is_the_mean_not_the_resamples_median():
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    counts = [n**2 % 11 for n in range(40)]  # words that a summary has of its reference's ten
    shares = [2 * n / (n + 10) for n in counts]
    scores = score_summaries([" ".join(words[:n]) for n in counts], [" ".join(words)] * len(counts))
    assert scores["rouge1"] == pytest.approx(100 * np.mean(shares), rel=1e-9)


PHRASES = st.lists(st.sampled_from([*" ".join(SUMMARIES + LEADS).split(), "Über", "7", ""])).map(" ".join)


@given(st.lists(PHRASES.filter(str.strip), min_size=1, max_size=4))
def test_summaries_agree_by_rouge_scores_1_and_2(texts):
    scorer = RougeScorer(["rouge1", "rouge2"], use_stemmer=True)
    for row, text in zip(agreement(texts), texts, strict=True):
        scores = [[score.fmeasure for score in scorer.score(other, text).values()] for other in texts]
        assert row == pytest.approx(np.mean(scores, axis=1))


def test_repeated_and_novel_ngrams(summary_scores):
    # "one two three one two three": 4 trigrams, one of them again; the other summary repeats none.
    assert summary_scores["repeated_3grams"] == pytest.approx(100 * (0 + 1 / 4) / 2)
    # All words of the first stand in its document; of "one two three", one does not.
    assert summary_scores["novel_1grams"] == pytest.approx(100 * (0 + 1 / 3) / 2)
    # New: sitting they, they slept, slept on (of 10); two three, three one (of 3).
    assert summary_scores["novel_2grams"] == pytest.approx(100 * (3 / 10 + 2 / 3) / 2)
    # In the document: the cats were, cats were sitting, on the mat, the mat all, mat all day (of 9); none (of 3).
    assert summary_scores["novel_3grams"] == pytest.approx(100 * (4 / 9 + 3 / 3) / 2)
    assert summary_scores["novel_4grams"] == pytest.approx(100 * (5 / 8 + 3 / 3) / 2)


def test_references_are_measured_as_summaries_are(summary_scores):
    swapped = score_summaries(LEADS, SUMMARIES, DOCUMENTS)
    names = [name.removeprefix("reference_") for name in summary_scores if name.startswith("reference_")]
    assert names == [
        "words", "repeated_3grams", "novel_1grams", "novel_2grams", "novel_3grams", "novel_4grams", "coverage",
        "density", "longest_copy", "names", "names_in_source", "subject_named",
    ]  # fmt: skip
    for name in names:
        assert summary_scores[f"reference_{name}"] == swapped[name]
        assert summary_scores[name] == swapped[f"reference_{name}"]


def test_copied_fragments(summary_scores):
    # the cats were sitting | they | slept | on the mat all day
    assert fragments(SUMMARIES[0], DOCUMENTS[0]) == [4, 1, 1, 5]
    assert fragments(SUMMARIES[1], DOCUMENTS[1]) == [2, 2]
    assert summary_scores["coverage"] == pytest.approx(100 * (11 / 11 + 4 / 6) / 2)
    assert summary_scores["density"] == pytest.approx(((16 + 1 + 1 + 25) / 11 + (4 + 4) / 6) / 2)
    assert summary_scores["longest_copy"] == (5 + 2) / 2
    assert summary_scores["words"] == (11 + 6) / 2
    assert fragments("a b x b c d", "a b c d. x y") == [2, 1, 3]
    assert fragments("Cat", "category cat's") == [1]
    assert fragments("", "a") == fragments("a", "") == fragments("b b", "a") == []


def test_names_and_numbers_are_looked_for_in_the_source():
    text = "The Silver Swan (built 1821) sank off Cape Orra. Its captain was Mara Vane."
    assert names(text) == ["silver", "swan", "1821", "cape", "orra", "mara", "vane"]
    assert names("A mile. 7 dogs\nBark") == ["7"]  # a sentence's first word has a capital anyway
    assert from_source(text, "silver swan\nBuilt in 1821, off Orra. MARA Marrow") == (5, 7)
    assert from_source("He lived in İzmir.", "He was born in İzmir.") == (1, 1)


def test_the_subject_is_the_title_or_the_first_name():
    assert subject("Mercury (planet)", "") == "Mercury"
    assert subject("", "In 1821 the Silver Swan sank. The Queen wept.") == "Silver Swan"
    assert subject("", "nobody here. Nor here.") == ""
    assert is_named("Velvet ropeweed", "The velvet ropeweed's stem.")
    assert not is_named("Velvet ropeweed", "The velvet foamcup.") and not is_named("Orra", "Orrano")


def test_naming_is_scored_over_all_names_and_all_subjects():
    documents = ["Mara Vane was born in Orra in 1821.", "Orra has mills.", "nobody here"]
    summaries = ["She, Mara Vane of Tolm, was born in 1820.", "A town.", "Nothing"]
    scores = score_summaries(summaries, documents, documents, titles=["Mara Vane", "Orra", ""])
    assert scores["names"] == 4 / 3 and scores["names_in_source"] == 50
    assert scores["subject_named"] == 50  # of the two that have a subject
    assert scores["reference_names_in_source"] == scores["reference_subject_named"] == 100
    assert score_summaries(summaries, documents, documents)["subject_named"] == 100  # Vane is the one first name


def test_the_lead_baseline_is_scored_like_a_summary(summary_scores):
    assert summary_scores["lead_words"] == 7  # the mean of 10 and 4
    baseline = score_summaries(["The cats were sitting on the mat", "one two four"], LEADS)
    for name in baseline:
        if name.startswith("rouge"):
            assert summary_scores[f"lead_{name}"] == baseline[name]


def test_the_baselines_read_the_bodies():
    body = 'A fox (e.g. this) is red. It eats.\nMore here.\n\n"It is No. 5!" Foxes say.\n\nAlone'
    assert openings(body) == 'A fox (e.g. this) is red. "It is No. 5!" Alone'
    assert [openings(body, words).count(" ") + 1 for words in (1, 6, 7, 11)] == [6, 6, 10, 11]
    assert openings(body, 0) == ""
    scores = score_summaries(["x"], ["A fox is red. Alone."], ["Title\n" + body], [body], lead_words=9)
    assert scores["lead_words"] == 9
    for name, text in {
        "lead": "A fox (e.g. this) is red. It eats. More",
        "openings": 'A fox (e.g. this) is red. "It is No.',
    }.items():
        assert scores[f"{name}_rouge1"] == score_summaries([text], ["A fox is red. Alone."])["rouge1"]
    all_words = score_summaries(["x"], ["A fox is red. Alone."], ["Title\n" + body], [body], lead_words=99)
    assert all_words["openings_rouge1"] == score_summaries([openings(body)], ["A fox is red. Alone."])["rouge1"]
    assert all_words["lead_rouge1"] == score_summaries([body], ["A fox is red. Alone."])["rouge1"]


def test_the_first_sentences():
    assert first_sentences('One. "Two!" Three.', 2) == 'One. "Two!"'
    assert first_sentences("One. Two", 2) == first_sentences("One. Two", 3) == "One. Two"
    assert first_sentences("", 1) == ""


def test_empty_summaries_count_nothing():
    scores = score_summaries(["", ""], ["A lead.", ""], ["A text.", ""])
    assert all(scores[name] == 0.0 for name in scores if not name.startswith(("lead_", "openings_", "reference_")))
    assert all(np.isfinite(list(scores.values())))


def test_summary_scores_repeat_and_leave_numpys_generator_alone(summary_scores):
    np.random.seed(3)
    expected = np.random.rand()
    np.random.seed(3)
    again = score_summaries(SUMMARIES, LEADS)
    assert np.random.rand() == expected
    assert again == {name: summary_scores[name] for name in again}


@pytest.mark.parametrize("score", [score_translations, score_summaries])
def test_no_or_unequal_lines(score):
    with pytest.raises(UserError, match="0 predictions for 0 references"):
        score([], [])
    with pytest.raises(UserError, match="2 predictions for 1 references"):
        score(["a", "b"], ["a"])


def test_unequal_documents():
    with pytest.raises(UserError, match="1 predictions for 1 references, 0 documents"):
        score_summaries(["a"], ["a"], [])


def test_the_same_through_evaluate_without_network(tmp_path, monkeypatch, summary_scores):
    monkeypatch.setattr(evaluate.config, "HF_EVALUATE_OFFLINE", True)
    monkeypatch.setattr(evaluate.config, "HF_MODULES_CACHE", tmp_path / "modules")
    folder = Path(tasks.__file__).parent
    translation = evaluate.load(str(folder / "translation" / "metric.py"), cache_dir=tmp_path)
    expected = score_translations(HYPOTHESES, REFERENCES)
    assert translation.compute(predictions=HYPOTHESES, references=REFERENCES) == expected
    summarization = evaluate.load(str(folder / "summarization" / "metric.py"), cache_dir=tmp_path)
    given = {"predictions": SUMMARIES, "references": LEADS, "documents": DOCUMENTS}
    assert summarization.compute(**given) == summary_scores
    baselines = {"bodies": ["Cats sat. They slept.", "one. Two"], "lead_words": 3}
    expected = score_summaries(SUMMARIES, LEADS, DOCUMENTS, **baselines)
    assert summarization.compute(**given, **baselines) == expected != summary_scores


@pytest.mark.parametrize("compare", [compare_translations, compare_summaries])
def test_two_systems_are_compared_by_paired_bootstrap(compare):
    references = [
        f"the {word} sat on mat number {number}"
        for number, word in enumerate(["cat", "dog", "hen", "cow", "owl", "pig"])
    ]
    better = [*references[:5], "a pig"]
    worse = ["the mat", *references[1:3], "a cow sat there", "owl", "a pig"]
    found = compare(better, worse, references)
    assert len(found) >= 2
    for each in found.values():
        assert each["score"] > each["other"] and 1 / 1001 <= each["p_value"] < 0.5
    turned = compare(worse, better, references)
    for name, each in compare(better, better, references).items():
        assert each["score"] == each["other"] == found[name]["score"] and each["p_value"] == 1
        assert turned[name]["score"] == found[name]["other"] and turned[name]["other"] == found[name]["score"]
    assert {name: each["p_value"] for name, each in turned.items()} == pytest.approx(
        {name: each["p_value"] for name, each in found.items()}
    )


@pytest.mark.parametrize("compare", [compare_translations, compare_summaries])
def test_what_no_resample_shows_by_chance_has_the_least_p_value_that_so_many_can_give(compare):
    references = [f"the owl number {number} sat on mat number {number}" for number in range(40)]
    found = compare(references, [text.replace("mat number", "a") for text in references], references)
    assert [each["p_value"] for each in found.values()] == pytest.approx([1 / 1001] * len(found))


def test_the_compared_scores_are_those_of_the_scores():
    translations = compare_translations(HYPOTHESES, REFERENCES, REFERENCES)
    assert translations["bleu"]["score"] == pytest.approx(score_translations(HYPOTHESES, REFERENCES)["bleu"])
    summaries, scores = compare_summaries(SUMMARIES, LEADS, LEADS), score_summaries(SUMMARIES, LEADS)
    assert {*summaries} == {"rouge1", "rouge2", "rougeL"}
    for name, each in summaries.items():
        assert each["score"] == pytest.approx(scores[name]) and each["other"] == pytest.approx(100)


def test_every_summary_is_compared_by_one_look_at_it(monkeypatch):
    seen, score = [], RougeScorer.score
    monkeypatch.setattr(RougeScorer, "score", lambda scorer, *texts: seen.append(texts) or score(scorer, *texts))
    compare_summaries(SUMMARIES, LEADS, LEADS)
    assert len(seen) == len(SUMMARIES) + len(LEADS)
