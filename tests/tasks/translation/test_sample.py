"""The translation sample: its splits, its words, and one golden sentence for each thing it teaches of German."""

from collections import Counter
from itertools import combinations, islice

import pytest

from tasks.translation.grammar import (
    HE,
    MODALS,
    SHE,
    THEY,
    WHO,
    YOU,
    Clause,
    I,
    NounPhrase,
    direction,
    english_third,
    german_noun,
    location,
    prepositional,
    say,
    write,
)
from tasks.translation.lexicon import ADJECTIVES, BE, LIE, NOUN_TABLES, NOUNS, STAND, VERBS, Pair
from tasks.translation.sample import PATTERNS, TEST_ROWS, TRAIN_ROWS, VALIDATION_ROWS, pairs, sample

CAN, MUST, SHOULD, WILL, _, WANT = MODALS
YESTERDAY, TOMORROW = Pair("yesterday", "gestern"), Pair("tomorrow", "morgen")
EVERY_MORNING, OFTEN = Pair("every morning", "jeden Morgen"), Pair("often", "oft")


@pytest.fixture(scope="module")
def splits():
    return sample()


def words(text: str) -> list[str]:
    return [word.strip(".,?").lower() for word in text.split()]


def vocabulary(rows: list[dict[str, str]], language: str) -> Counter:
    return Counter(word for row in rows for word in words(row[language]))


def test_the_sample_is_the_same_every_time(splits):
    assert sample() == splits


def test_the_splits_have_their_sizes(splits):
    sizes = {name: len(rows) for name, rows in splits.items()}
    assert sizes == {"train": TRAIN_ROWS, "validation": VALIDATION_ROWS, "test": TEST_ROWS}


@pytest.mark.parametrize("language", ["en", "de"])
def test_no_sentence_of_either_language_stands_in_two_splits(splits, language):
    sentences = {name: {row[language] for row in rows} for name, rows in splits.items()}
    assert all(one.isdisjoint(other) for one, other in combinations(sentences.values(), 2))
    if language == "en":
        assert all(len(sentences[name]) == len(rows) for name, rows in splits.items())


def test_english_has_one_translation_whatever_is_drawn():
    """Not of the sample's rows alone, which are chosen to differ, but of the grammar."""
    german: dict[str, set[str]] = {}
    for pair in islice(pairs(seed=1), 8_000):
        german.setdefault(pair.en, set()).add(pair.de)
    assert [(en, each) for en, each in german.items() if len(each) > 1] == []


def test_the_lexicon_has_hundreds_of_words_and_training_shows_each_often(splits):
    english, german = (vocabulary(splits["train"], language) for language in ("en", "de"))
    forms = {noun.en: {noun.en, noun.en_plural} for kind in NOUN_TABLES for noun in NOUNS[kind]}
    forms |= {adjective.en: {adjective.en} for adjective in ADJECTIVES}
    for each in (verb for group in VERBS.values() for verb in group):
        forms[each.en] = {each.en, english_third(each.en), each.en_past, each.en_ing}
    assert len(set().union(*forms.values()) & set(english)) >= 300
    assert len(german) >= 300
    counts = {word: sum(english[form] for form in each) for word, each in forms.items()}
    assert {word: count for word, count in counts.items() if count < 30} == {}


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("split", ["validation", "test"])
def test_held_out_sentences_are_made_of_words_seen_in_training(splits, split, language):
    assert set(vocabulary(splits[split], language)) <= set(vocabulary(splits["train"], language))


def test_sentences_are_short_and_well_formed(splits):
    for row in (row for rows in splits.values() for row in rows):
        for text in row.values():
            assert text[0].isupper() and text[-1] in ".?" and "  " not in text and "-" not in text
            assert 2 <= len(text.split()) <= 14
        assert row["en"][-1] == row["de"][-1]
        for conjunction in ("weil", "dass", "wenn"):
            if f" {conjunction} " in row["de"]:
                assert f", {conjunction} " in row["de"]


def test_every_pattern_describes_itself():
    assert all(pattern.__doc__ for pattern in PATTERNS)


def test_nouns_are_named_once():
    names = Counter(noun.en for kind in NOUN_TABLES for noun in NOUNS[kind])
    assert names.most_common(1)[0][1] == 1


def noun(en: str, determiner: str = "the", adjective: str = "", plural: bool = False) -> NounPhrase:
    described = [each for each in ADJECTIVES if each.en == adjective]
    return NounPhrase(NOUNS[en][0], determiner, plural, described[0] if described else None)


def verb(en: str, particle: str = "", group: str = "event"):
    return next(each for each in VERBS[group] if (each.en, each.en_particle) == (en, particle))


@pytest.mark.parametrize(
    ("phrase", "english", "german"),
    [
        (noun("man", "the", "old"), "the old man", "der alte Mann, den alten Mann, dem alten Mann"),
        (noun("man", "a", "old"), "an old man", "ein alter Mann, einen alten Mann, einem alten Mann"),
        (noun("woman", "a", "old"), "an old woman", "eine alte Frau, eine alte Frau, einer alten Frau"),
        (noun("car", "a", "new"), "a new car", "ein neues Auto, ein neues Auto, einem neuen Auto"),
        (noun("car", "this", "new"), "this new car", "dieses neue Auto, dieses neue Auto, diesem neuen Auto"),
        (noun("house", "our"), "our house", "unser Haus, unser Haus, unserem Haus"),
        (noun("dog", "my", "", True), "my dogs", "meine Hunde, meine Hunde, meinen Hunden"),
        (noun("egg", "two", "fresh", True), "two fresh eggs",
         "zwei frische Eier, zwei frische Eier, zwei frischen Eiern"),
        (noun("coffee", "", "hot"), "hot coffee", "heißer Kaffee, heißen Kaffee, heißem Kaffee"),
        (noun("milk", "", "cold"), "cold milk", "kalte Milch, kalte Milch, kalter Milch"),
        (noun("boy", "the"), "the boy", "der Junge, den Jungen, dem Jungen"),
        (noun("coat", "the", "expensive"), "the expensive coat",
         "der teure Mantel, den teuren Mantel, dem teuren Mantel"),
        (noun("student", "this", "tall", True), "these tall students",
         "diese großen Studenten, diese großen Studenten, diesen großen Studenten"),
    ],
)  # fmt: skip
def test_articles_and_adjectives_agree(phrase, english, german):
    assert phrase.english() == english
    assert ", ".join(phrase.german(case) for case in ("nom", "acc", "dat")) == german


def test_dative_plurals_end_in_n_unless_they_cannot():
    plurals = {en: german_noun(NOUNS[en][0], "dat", True) for en in ("child", "car", "woman", "teacher")}
    assert plurals == {"child": "Kindern", "car": "Autos", "woman": "Frauen", "teacher": "Lehrern"}


@pytest.mark.parametrize(
    ("written", "german"),
    [
        (location(noun("garden")), "im Garten"),
        (location(noun("kitchen")), "in der Küche"),
        (location(noun("market")), "auf dem Markt"),
        (location(noun("lake", "this")), "an diesem See"),
        (direction(noun("garden")), "in den Garten"),
        (direction(noun("theater")), "ins Theater"),
        (direction(noun("station")), "zum Bahnhof"),
        (prepositional(Pair("about", "von"), "dat", noun("horse", "the", "old")), "vom alten Pferd"),
        (prepositional(Pair("for", "auf"), "acc", noun("bus")), "auf den Bus"),
        (prepositional(Pair("with", "mit"), "dat", HE), "mit ihm"),
    ],
)
def test_prepositions_take_their_cases(written, german):
    assert written.de == german


AT_HOME = Pair("at home", "zu Hause")
GOLDEN = {
    "verb second": (
        Clause(noun("man"), verb("drink"), objects=((noun("coffee", ""), "acc"),), time=EVERY_MORNING),
        "statement", "The man drinks coffee every morning.", "Der Mann trinkt jeden Morgen Kaffee.",
    ),
    "verb second after a time": (
        Clause(noun("man"), verb("drink"), objects=((noun("coffee", ""), "acc"),), time=EVERY_MORNING),
        "fronted", "Every morning the man drinks coffee.", "Jeden Morgen trinkt der Mann Kaffee.",
    ),
    "person and number": (
        Clause(YOU, verb("help"), objects=((noun("child", plural=True), "dat"),), adverb=OFTEN),
        "statement", "You often help the children.", "Du hilfst oft den Kindern.",
    ),
    "dative and accusative": (
        Clause(SHE, verb("give"), "progressive", ((noun("boy"), "dat"), (noun("apple", "a"), "acc"))),
        "statement", "She is giving the boy an apple.", "Sie gibt dem Jungen einen Apfel.",
    ),
    "pronouns first": (
        Clause(I, verb("show"), "past", ((YOU, "dat"), (noun("photo", "my"), "acc")), time=YESTERDAY),
        "statement", "I showed you my photo yesterday.", "Ich habe dir gestern mein Foto gezeigt.",
    ),
    "separable verb": (
        Clause(HE, verb("call"), objects=((noun("mother", "his"), "acc"),), adverb=OFTEN),
        "statement", "He often calls his mother.", "Er ruft oft seine Mutter an.",
    ),
    "separable verb in the perfect": (
        Clause(THEY, verb("get", "up", "routine"), "past", time=Pair("at six o'clock", "um sechs Uhr")),
        "statement", "They got up at six o'clock.", "Sie sind um sechs Uhr aufgestanden.",
    ),
    "separable verb with a modal": (
        Clause(noun("nurse"), verb("turn", "on"), CAN, ((noun("lamp"), "acc"),)),
        "statement", "The nurse can turn on the lamp.", "Die Krankenschwester kann die Lampe einschalten.",
    ),
    "perfect with haben": (
        Clause(noun("girl"), verb("buy"), "past", ((noun("hat", "a", "red"), "acc"),), time=YESTERDAY),
        "fronted", "Yesterday the girl bought a red hat.", "Gestern hat das Mädchen einen roten Hut gekauft.",
    ),
    "perfect with sein": (
        Clause(I, verb("go"), "past", complements=(direction(noun("park")),), time=YESTERDAY),
        "statement", "I went to the park yesterday.", "Ich bin gestern in den Park gegangen.",
    ),
    "past of to be": (
        Clause(YOU, BE, "past", complements=(AT_HOME,), time=YESTERDAY),
        "statement", "You were at home yesterday.", "Du warst gestern zu Hause.",
    ),
    "modal": (
        Clause(noun("child"), verb("sleep"), MUST, complements=(location(noun("bedroom")),), time=TOMORROW),
        "fronted", "Tomorrow the child must sleep in the bedroom.", "Morgen muss das Kind im Schlafzimmer schlafen.",
    ),
    "future": (
        Clause(YOU, verb("wait"), WILL, complements=(Pair("for us", "auf uns"),)),
        "statement", "You will wait for us.", "Du wirst auf uns warten.",
    ),
    "advice": (
        Clause(YOU, verb("work"), SHOULD, time=TOMORROW),
        "statement", "You should work tomorrow.", "Du solltest morgen arbeiten.",
    ),
    "question": (
        Clause(noun("brother", "your"), verb("read"), adverb=OFTEN, objects=((noun("newspaper"), "acc"),)),
        "question", "Does your brother often read the newspaper?", "Liest dein Bruder oft die Zeitung?",
    ),
    "question in the perfect": (
        Clause(SHE, verb("visit"), "past", ((noun("uncle", "her"), "acc"),)),
        "question", "Did she visit her uncle?", "Hat sie ihren Onkel besucht?",
    ),
    "nicht": (
        Clause(HE, verb("find", group="mishap"), "past", ((noun("key", "his"), "acc"),), negated=True),
        "statement", "He did not find his key.", "Er hat seinen Schlüssel nicht gefunden.",
    ),
    "nicht before a place": (
        Clause(SHE, verb("work"), complements=(location(noun("office")),), negated=True),
        "statement", "She does not work in the office.", "Sie arbeitet nicht im Büro.",
    ),
    "kein": (
        Clause(noun("farmer"), verb("have", group="state"), objects=((noun("dog", "a"), "acc"),), negated=True),
        "statement", "The farmer does not have a dog.", "Der Bauer hat keinen Hund.",
    ),
    "kein of the plural": (
        Clause(I, verb("eat"), objects=((noun("tomato", "", plural=True), "acc"),), negated=True),
        "statement", "I do not eat tomatoes.", "Ich esse keine Tomaten.",
    ),
    "cannot": (
        Clause(noun("tourist", plural=True), verb("sing"), CAN, negated=True),
        "statement", "The tourists cannot sing.", "Die Touristen können nicht singen.",
    ),
    "what lies": (
        Clause(noun("key"), LIE, complements=(prepositional(Pair("on", "auf"), "dat", noun("table")),)),
        "statement", "The key is on the table.", "Der Schlüssel liegt auf dem Tisch.",
    ),
    "what stands": (
        Clause(noun("cup", plural=True), STAND, complements=(prepositional(Pair("on", "auf"), "dat", noun("table")),)),
        "question", "Are the cups on the table?", "Stehen die Tassen auf dem Tisch?",
    ),
    "who": (
        Clause(WHO, verb("repair"), "past", ((noun("bicycle"), "acc"),), time=YESTERDAY),
        "statement", "Who repaired the bicycle yesterday?", "Wer hat gestern das Fahrrad repariert?",
    ),
}  # fmt: skip


@pytest.mark.parametrize("phenomenon", GOLDEN)
def test_one_derivation_is_written_in_both_languages(phenomenon):
    clause, order, en, de = GOLDEN[phenomenon]
    assert say(clause, order) == (en, de)


def test_question_words_stand_before_the_verb():
    reading = Clause(noun("teacher"), verb("read"), "progressive")
    asked = say(reading, "question", Pair("what", "was"))
    assert asked == ("What is the teacher reading?", "Was liest der Lehrer?")
    working = Clause(THEY, verb("wait"), WANT, time=TOMORROW)
    asked = say(working, "question", Pair("where", "wo"))
    assert asked == ("Where do they want to wait tomorrow?", "Wo wollen sie morgen warten?")


@pytest.mark.parametrize(
    ("clause", "german"),
    [
        (Clause(SHE, verb("call"), objects=((HE, "acc"),)), "sie ihn anruft"),
        (Clause(SHE, verb("call"), MUST, ((HE, "acc"),)), "sie ihn anrufen muss"),
        (Clause(SHE, verb("call"), "past", ((HE, "acc"),), time=YESTERDAY), "sie ihn gestern angerufen hat"),
        (Clause(HE, BE, complements=(Pair("sick", "krank"),)), "er krank ist"),
    ],
)
def test_verbs_end_subordinate_clauses(clause, german):
    assert write(clause, "subordinate").de == german
