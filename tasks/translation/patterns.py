"""What is said in the translation sample: sentence patterns, each drawing one derivation and writing it twice.

Only what makes sense is drawn. A verb's complements come from the nouns that its line in the lexicon names, an
adjective from those that are said of its noun, a time from those that go with the tense.
"""

from dataclasses import replace
from functools import cache
from itertools import accumulate
from random import Random
from typing import TypedDict, Unpack

from tasks.translation.grammar import (
    HE,
    MODALS,
    NO_WORDS,
    NUMBERS,
    POSSESSIVES,
    PRONOUNS,
    SHE,
    THEY,
    WHO,
    YOU,
    Clause,
    NounPhrase,
    Pronoun,
    Tense,
    fill,
    location,
    phrase,
    prepositional,
    say,
    sentence,
    write,
)
from tasks.translation.lexicon import (
    ADJECTIVES,
    BE,
    COME,
    LIE,
    NOUN_TABLES,
    NOUNS,
    PHRASES,
    STAND,
    STAY,
    VERBS,
    Noun,
    Pair,
    Slot,
    Verb,
)

ASKED = (YOU, HE, SHE, THEY)
CAN, MUST, WILL = MODALS[0], MODALS[1], MODALS[3]
BECAUSE, THAT, WHEN = Pair("because", "weil"), Pair("that", "dass"), Pair("when", "wenn")

# "Two keys", but not "two shirts on".
COUNTED = (
    "person", "animal", "fruit", "text", "thing", "paper", "dish", "device", "vehicle", "furniture", "opening", "sight",
)  # fmt: skip
PEOPLE = ("person", "kin")
UNCOUNTED = ("staple", "drink")
PLACES = ("indoors", "town", "outdoors")
UNOWNED = ("person", "transport", "town", "outdoors")
ADJECTIVES_OF = {
    noun.en: tuple(word for word in ADJECTIVES if {noun.kind, noun.en} & set(word.kinds))
    for nouns in NOUNS.values()
    for noun in nouns
}
MOODS = tuple(word for word in ADJECTIVES if "mood" in word.kinds)
PERSONAL = tuple(word for word in ADJECTIVES if "person" in word.kinds)
THINGS = tuple(kind for kind in NOUN_TABLES if kind not in PEOPLE)
DEGREES = (NO_WORDS, Pair("very", "sehr"), Pair("too", "zu"))
GRADED = (
    "old", "young", "big", "small", "tall", "cold", "hot", "cheap", "expensive", "long", "fast",
    "heavy", "quiet", "tired", "nervous", "lazy", "dirty",
)  # fmt: skip
# Where things are, and the verb that German says it with.
BESIDE = (Pair("under", "unter"), Pair("behind", "hinter"), Pair("next to", "neben"), Pair("in front of", "vor"))
POSTURES = (
    (LIE, ("thing", "paper", "text"), (Pair("on", "auf"), *BESIDE[:3]), ("furniture",)),
    (STAND, ("dish", "device"), (Pair("on", "auf"), *BESIDE[:3]), ("table", "shelf", "cupboard")),
    (STAND, ("car", "bicycle", "truck", "bus"), BESIDE[1:], ("tree", "house", "school", "hotel", "church", "station")),
)
EVENT_WEIGHTS = list(
    accumulate(
        4 + sum(noun.kind not in PEOPLE for slot in verb.slots for noun in slot.nouns) ** 0.7 for verb in VERBS["event"]
    )
)
# What the weather has a say in; what keeps people from coming; what moves them.
PASTIMES = ("eat", "drink", "read", "cook", "bake", "clean", "paint", "visit", "play", "sleep", "study", "dance")
CHORES = ("wash", "cook", "bake", "repair", "clean", "feed", "tidy", "look", "write", "buy", "visit", "read", "help")
LOSSES, GAINS = ("lose", "forget", "break", "miss"), ("find", "meet")
MOVES = {Pair("sad", "traurig"): LOSSES, Pair("angry", "wütend"): LOSSES, Pair("happy", "glücklich"): GAINS}
ABLE = {  # which animals do what, where not all do
    "bark": ("dog",), "jump": ("dog", "cat", "horse", "goat", "rabbit"), "sing": ("bird",), "play": ("dog", "cat"),
}  # fmt: skip
UNLIKELY = {"boy": ("boy", "son", "daughter", "nephew", "niece", "colleague", "boss")}


def noun_phrase(
    rng: Random, noun: Noun, owner: NounPhrase | Pronoun | None = None, definite: bool = False, plain: bool = False
) -> NounPhrase:
    """The noun with a determiner that suits its kind; definite: not "a"; plain: no adjective."""
    plural = noun.en_plural != "-" and rng.random() < 0.25
    determiner = rng.choice(determiners(noun.kind, plural, definite))
    if determiner == "my":
        determiner = possessive(rng, owner)
    elif determiner == "two":
        determiner = rng.choice(tuple(NUMBERS))
    adjective = None
    if not plain and rng.random() < (0.3 if noun.kind in PEOPLE else 0.4) and ADJECTIVES_OF[noun.en]:
        adjective = rng.choice(ADJECTIVES_OF[noun.en])
    return NounPhrase(noun, determiner, plural, adjective)


@cache
def determiners(kind: str, plural: bool, definite: bool) -> list[str]:
    """What may stand before such a noun, the likelier the more often; "my" and "two" are for all of their like."""
    if kind == "kin":
        return ["my"]
    choices = ["the"] * 3 + ["this"]
    if not definite:
        choices += [""] * 4 if plural or kind in UNCOUNTED else ["a"] * (1 if kind in PLACES else 3)
        choices += ["two"] if plural and kind in COUNTED else []
    return choices if kind in UNOWNED else [*choices, "my", "my"]


def possessive(rng: Random, owner: NounPhrase | Pronoun | None) -> str:
    pronoun = reference(owner) if owner else None
    if pronoun and pronoun.en_possessive and rng.random() < 0.5:
        return pronoun.en_possessive
    return rng.choice(tuple(POSSESSIVES))


def reference(subject: NounPhrase | Pronoun) -> Pronoun | None:
    """The pronoun that refers back to the subject; None for neuters: a "Mädchen" is not "she" in German."""
    if isinstance(subject, Pronoun):
        return subject
    if subject.plural:
        return THEY
    return {"m": HE, "w": HE, "f": SHE, "n": None}[subject.noun.gender]


def person(rng: Random, asked: bool = False, plain: bool = False) -> NounPhrase | Pronoun:
    """A subject; asked: in a question, where nobody asks about "I" or about "a man"."""
    kind = rng.choice(("pronoun", "kin", "person"))
    if kind == "pronoun":
        return rng.choice(ASKED if asked else PRONOUNS)
    return noun_phrase(rng, rng.choice(NOUNS[kind]), definite=asked or rng.random() < 0.8, plain=plain)


def argument(rng: Random, slot: Slot, subject: NounPhrase | Pronoun, definite: bool) -> NounPhrase | Pronoun:
    odd = UNLIKELY.get(subject.noun.en, (subject.noun.en,)) if isinstance(subject, NounPhrase) else ()
    while (noun := rng.choice(slot.nouns)).en in odd:
        pass
    # A pronoun beside a noun for a subject would bring in a choice of order: "heute ruft ihn der Mann an".
    if noun.kind in ("kin", "person") and isinstance(subject, Pronoun) and rng.random() < 0.25:
        return rng.choice([each for each in PRONOUNS if each.person == 3 or each.person != subject.person])
    return noun_phrase(rng, noun, subject, definite or (noun.kind == "person" and rng.random() < 0.6))


class Features(TypedDict, total=False):
    """The fields of a `Clause` beside who does what."""

    tense: Tense
    time: Pair | None
    adverb: Pair | None
    negated: bool


def clause(rng: Random, subject: NounPhrase | Pronoun, verb: Verb, **features: Unpack[Features]) -> Clause:
    """The verb with its complements."""
    objects, complements = [], []
    negated = features.get("negated", False)
    for slot in verb.slots:
        # "Nicht einem Kind" and "nicht zwei Bücher" are out; "kein Buch" is in.
        filler = argument(rng, slot, subject, definite=negated and slot.role != "acc")
        if negated and isinstance(filler, NounPhrase) and filler.determiner in NUMBERS:
            filler = replace(filler, determiner="")
        if (complement := fill(slot, filler)) is not None:
            complements.append(complement)
        else:
            objects.append((filler, slot.role))
    return Clause(subject, verb, objects=tuple(objects), complements=tuple(complements), **features)


def event(rng: Random) -> Verb:
    """A verb, the likelier the more it can be said of, so that the words for things are not rare."""
    return rng.choices(VERBS["event"], cum_weights=EVENT_WEIGHTS)[0]


def one_of(rng: Random, group: str, names: tuple[str, ...]) -> Verb:
    return rng.choice([verb for verb in VERBS[group] if verb.en in names])


def timed(rng: Random, *tenses: str) -> Features:
    """One of the tenses, and a time that goes with it."""
    tense = rng.choice(tenses)
    times = {"present": "every", "progressive": "now", "past": "past", "modal": "future"}[tense]
    return {"tense": rng.choice(MODALS) if tense == "modal" else tense, "time": rng.choice(PHRASES[times])}


def first_or_last(rng: Random) -> str:
    """Where the time stands: where it comes first, the German subject follows its verb."""
    return rng.choice(("fronted", "statement"))


# The patterns. Each draws one derivation and writes it.


def habit(rng: Random) -> Pair:
    """The waiter often drinks coffee."""
    subject, verb = person(rng), event(rng)
    if rng.random() < 0.5:
        return say(clause(rng, subject, verb, adverb=rng.choice(PHRASES["often"] + PHRASES["rarely"])))
    return say(clause(rng, subject, verb, **timed(rng, "present")), first_or_last(rng))


def progress(rng: Random) -> Pair:
    """At the moment the waiter is drinking coffee."""
    return say(clause(rng, person(rng), event(rng), **timed(rng, "progressive")), first_or_last(rng))


def past(rng: Random) -> Pair:
    """Yesterday the waiter lost his key."""
    verb = event(rng) if rng.random() < 0.6 else rng.choice(VERBS["mishap"])
    return say(clause(rng, person(rng), verb, **timed(rng, "past")), first_or_last(rng))


def plan(rng: Random) -> Pair:
    """The waiter must work tomorrow."""
    return say(clause(rng, person(rng), event(rng), **timed(rng, "modal")), first_or_last(rng))


def state(rng: Random) -> Pair:
    """The waiter does not have a car."""
    return say(stative(rng, person(rng), negated=rng.random() < 0.4))


def stative(rng: Random, subject: NounPhrase | Pronoun, negated: bool = False) -> Clause:
    """One has "a" car, and likes "the" car."""
    stated = clause(rng, subject, rng.choice(VERBS["state"]), negated=negated)
    ((what, case),) = stated.objects
    if isinstance(what, NounPhrase):
        if stated.verb.en == "have" and what.noun.kind == "kin" and what.noun.en_plural != "-":
            what = replace(what, determiner=rng.choice(("", *NUMBERS)) if what.plural else "a")
        indefinite = what.determiner in ("a", "", *NUMBERS)
        if stated.verb.en in ("have", "need") and not indefinite:
            what = replace(what, determiner="" if what.plural else "a")
        elif stated.verb.en not in ("have", "need") and what.determiner == "a":
            what = replace(what, determiner="the")
    return replace(stated, objects=((what, case),))


def description(rng: Random) -> Pair:
    """The soup is too hot. Were you tired?"""
    asked = rng.random() < 0.2
    described = quality(rng, asked)
    tense = rng.choice(("present", "present", "present", "past"))
    return say(replace(described, tense=tense), "question" if asked else "statement")


def quality(rng: Random, asked: bool = False) -> Clause:
    if rng.random() < 0.5:
        subject = person(rng, asked, plain=True)
        lasting = PERSONAL if isinstance(subject, Pronoun) else ADJECTIVES_OF[subject.noun.en]
        adjective = rng.choice((*MOODS, *lasting))
    else:
        noun = rng.choice(NOUNS[rng.choice(THINGS)])
        subject = noun_phrase(rng, noun, definite=True, plain=rng.random() < 0.5)
        adjective = rng.choice([each for each in ADJECTIVES_OF[noun.en] if each != subject.adjective])
    degree = rng.choice(DEGREES) if adjective.en in GRADED else NO_WORDS
    complement = Pair(phrase(degree.en, adjective.en), phrase(degree.de, adjective.de))
    negated = not asked and not degree.en and rng.random() < 0.3
    return Clause(subject, BE, complements=(complement,), negated=negated)


def whereabouts(rng: Random) -> Pair:
    """The key is on the table: there it "lies" in German, and a bottle "stands"."""
    verb, kinds, prepositions, landmarks = rng.choice(POSTURES)
    subject = noun_phrase(rng, rng.choice(NOUNS[rng.choice(kinds)]), definite=True)
    landmark = noun_phrase(rng, rng.choice(NOUNS[rng.choice(landmarks)]), definite=True)
    place = prepositional(rng.choice(prepositions), "dat", landmark)
    order = rng.choice(("statement", "statement", "question"))
    negated = order == "statement" and rng.random() < 0.3
    return say(Clause(subject, verb, complements=(place,), negated=negated), order)


def presence(rng: Random) -> Pair:
    """My uncle was at the station yesterday. Is the dog in the garden?"""
    place = location(noun_phrase(rng, rng.choice(NOUNS[rng.choice(PLACES)])))
    if rng.random() < 0.6:
        asked = rng.random() < 0.25
        subject: NounPhrase | Pronoun = noun_phrase(rng, rng.choice(NOUNS["animal"]), definite=asked)
        if rng.random() < 0.6:
            subject = person(rng, asked)
        there = Clause(subject, BE, complements=(place,), negated=not asked and rng.random() < 0.2)
        return say(there, "question" if asked else "statement")
    return say(Clause(person(rng), BE, complements=(place,), **timed(rng, "past")), first_or_last(rng))


def routine(rng: Random) -> Pair:
    """My father always gets up at six o'clock."""
    subject, verb = person(rng), rng.choice(VERBS["routine"])
    if rng.random() < 0.3:
        subject = noun_phrase(rng, rng.choice(NOUNS["transport"]), definite=True, plain=True)
        verb = rng.choice(VERBS["departure"])
    hour = rng.choice(PHRASES["hour"])
    if rng.random() < 0.4:
        return say(clause(rng, subject, verb, tense="present", time=hour, adverb=rng.choice(PHRASES["often"])))
    return say(clause(rng, subject, verb, tense=rng.choice(("present", "past", WILL)), time=hour))


def animal_and_verb(rng: Random, definite: bool = False) -> tuple[NounPhrase, Verb]:
    verb = rng.choice(VERBS["animal"])
    able = [noun for name in ABLE.get(verb.en, ("animal",)) for noun in NOUNS[name]]
    return noun_phrase(rng, rng.choice(able), definite=definite), verb


def animals(rng: Random) -> Pair:
    """The dogs are barking in the garden."""
    subject, verb = animal_and_verb(rng)
    if rng.random() < 0.5:
        return say(clause(rng, subject, verb, adverb=rng.choice(PHRASES["often"])))
    return say(clause(rng, subject, verb, **timed(rng, "progressive", "past")), first_or_last(rng))


def negation(rng: Random) -> Pair:
    """The waiter did not buy bread."""
    features, order = timed(rng, "past", "modal"), "fronted"
    if rng.random() < 0.5:
        features, order = {"tense": rng.choice(("present", "past"))}, "statement"
    while features["tense"] == MUST:  # "must not" is "darf nicht": there the languages part ways
        features = timed(rng, "modal")
    features["negated"] = True
    verb = rng.choice(VERBS["mishap"]) if features["tense"] == "past" and rng.random() < 0.4 else event(rng)
    return say(clause(rng, person(rng), verb, **features), order)


def question(rng: Random) -> Pair:
    """Did the waiter buy bread yesterday?"""
    subject, verb = person(rng, asked=True), event(rng)
    kind = rng.choice(("state", "habit", "event", "event", "event"))
    if kind == "state":
        return say(stative(rng, subject), "question")
    features: Features = {"adverb": rng.choice(PHRASES["often"])}
    if kind == "event":
        features = timed(rng, "progressive", "past", "modal")
    if kind == "event" and rng.random() < 0.3:
        features["time"] = None
    return say(clause(rng, subject, verb, **features), "question")


def open_question(rng: Random) -> Pair:
    """What did the waiter buy yesterday? Where is he working? Why?"""
    subject, verb = person(rng, asked=True), event(rng)
    features = timed(rng, "progressive", "past", "modal")
    if rng.random() < 0.4:
        features["time"] = None
    asked = clause(rng, subject, verb, **features)
    kind = rng.choice(("who", "why", "when", "complement", "complement", "complement"))
    if kind == "who":
        return say(clause(rng, WHO, verb, **features))
    if kind == "when" and features["tense"] != "progressive":
        return say(replace(asked, time=None), "question", Pair("when", "wann"))
    if kind == "complement" and asked.objects:
        wanted, case = asked.objects[-1]
        someone = isinstance(wanted, Pronoun) or wanted.noun.kind in PEOPLE
        word = Pair("who", WHO.german(case)) if someone else Pair("what", "was")
        return say(replace(asked, objects=asked.objects[:-1]), "question", word)
    if kind == "complement" and verb.slots[-1].role in ("in", "to"):
        word = Pair("where", "wo" if verb.slots[-1].role == "in" else "wohin")
        return say(replace(asked, complements=()), "question", word)
    return say(replace(asked, time=None), "question", Pair("why", "warum"))


def reason(rng: Random) -> Pair:
    """My sister is sad because she lost her key."""
    subject = person(rng, plain=True)
    while (again := reference(subject)) is None:
        subject = person(rng, plain=True)
    kind = rng.choice(("mood", "excuse", "excuse", "illness"))
    if kind == "mood":
        mood, verbs = rng.choice(list(MOVES.items()))
        main = Clause(subject, BE, complements=(mood,))
        because = clause(rng, again, one_of(rng, "mishap", verbs), tense="past")
    elif kind == "excuse":
        main = Clause(subject, COME, tense=CAN, negated=True)
        because = clause(rng, again, one_of(rng, "event", CHORES), tense=MUST)
    else:
        main = Clause(subject, STAY, "progressive", complements=(Pair("at home", "zu Hause"),))
        because = Clause(again, BE, complements=(rng.choice((Pair("sick", "krank"), Pair("tired", "müde"))),))
    return sentence(join(write(main, "statement"), BECAUSE, write(because, "subordinate")))


def thought(rng: Random) -> Pair:
    """The waiter believes that the boy will buy a book."""
    verb = rng.choice(VERBS["thought"])
    if verb.en == "hope":
        content = clause(rng, person(rng), event(rng), tense=WILL, time=rng.choice(PHRASES["future"]))
    elif rng.random() < 0.3:
        content = quality(rng)
    elif rng.random() < 0.2:
        content = clause(rng, person(rng), rng.choice(VERBS["mishap"]), **timed(rng, "past"))
    else:
        content = clause(rng, person(rng), event(rng), **timed(rng, "present", "past", "modal"))
    if rng.random() < 0.3:
        content = replace(content, time=None)
    main = Clause(person(rng, plain=True), verb)
    return sentence(join(write(main, "statement"), THAT, write(content, "subordinate")))


def condition(rng: Random) -> Pair:
    """When it rains, the waiter drinks tea."""
    main, weather = (
        clause(rng, person(rng), one_of(rng, "event", PASTIMES)),
        rng.choice(PHRASES["weather"]),
    )
    if rng.random() < 0.4:
        return sentence(join(write(main, "statement"), WHEN, weather))
    after = write(main, "main")
    return sentence(Pair(f"when {weather.en}, {after.en}", f"wenn {weather.de}, {after.de}"))


def join(main: Pair, conjunction: Pair, subordinate: Pair) -> Pair:
    """German sets a comma before every subordinate clause."""
    return Pair(f"{main.en} {conjunction.en} {subordinate.en}", f"{main.de}, {conjunction.de} {subordinate.de}")


LONG = {
    habit: 11, progress: 9, past: 12, plan: 11, state: 9, description: 8, whereabouts: 6, presence: 5, routine: 6,
    animals: 4, negation: 7, question: 8, open_question: 8, reason: 7, thought: 6, condition: 6,
}  # fmt: skip
