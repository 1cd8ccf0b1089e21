"""The short patterns of the translation sample: sentences without a time, down to a subject and its verb.

A decoder that has only seen long sentences does not know where a short one ends.
"""

from dataclasses import replace
from random import Random

from tasks.translation.grammar import (
    HE,
    MODALS,
    NUMBERS,
    PRONOUNS,
    SHE,
    Clause,
    I,
    NounPhrase,
    Pronoun,
    Tense,
    english,
    german,
    location,
    prepositional,
    say,
    sentence,
)
from tasks.translation.lexicon import ADJECTIVES, BE, NOUNS, VERBS, Noun, Pair, Verb
from tasks.translation.patterns import (
    ADJECTIVES_OF,
    MUST,
    PEOPLE,
    PLACES,
    POSTURES,
    THINGS,
    animal_and_verb,
    clause,
    event,
    noun_phrase,
    person,
)

# What is said without its complements: "I read", "she waits".
ALONE = (
    "eat", "drink", "read", "write", "cook", "bake", "paint", "draw", "sing", "sleep", "work", "wait", "study", "dance",
    "play", "shop", "run", "come", "help", "jump", "bark",
)  # fmt: skip
WAITING = ("eat", "drink", "read", "sing", "sleep", "wait", "dance", "play", "sit")  # what is done at any spot
FEMALE = ("nurse", "waitress", "actress")
MALE = (
    "teacher", "doctor", "student", "farmer", "baker", "gardener", "waiter", "artist", "policeman", "lawyer",
    "engineer", "singer",
)  # fmt: skip
THIS = Pronoun("this", "", "", "das", "", "", "", 3, False)
THESE = Pronoun("these", "", "", "das", "", "", "", 3, True)
OF_PEOPLE = tuple(word for word in ADJECTIVES if {"person", "mood"} & set(word.kinds))


def plain(rng: Random) -> Pair:
    """The dog sleeps. I drink coffee. Can she swim?"""
    asked = rng.random() < 0.2
    subject, verb = actor(rng, asked)
    tenses = ["present"] * 3 + ["past"] * 2 + ["modal"] * 2 + ["progressive"] * 2 * (verb.en_ing != "-")
    tense: Tense = rng.choice(tenses)
    negated = not asked and rng.random() < 0.2
    if tense == "modal":
        tense = rng.choice(MODALS)
        negated &= tense != MUST  # "must not" is "darf nicht"
    stated = clause(rng, subject, verb, tense=tense, negated=negated)
    stated = with_pronoun(rng, stated) if not asked else stated
    if verb.en in ALONE and not verb.en_particle and rng.random() < 0.5:
        stated = replace(stated, objects=(), complements=())
    if verb.en in WAITING and not stated.complements and not negated and rng.random() < 0.3:
        stated = replace(stated, complements=(spot(rng),))
    return say(stated, "question" if asked else "statement")


def actor(rng: Random, asked: bool) -> tuple[NounPhrase | Pronoun, Verb]:
    """Who does what."""
    kind = rng.choice(("event",) * 6 + ("animal",) * 3 + ("mishap",) * 2 + ("routine", "departure"))
    if kind == "animal":
        return animal_and_verb(rng, definite=asked)
    if kind == "departure":
        return noun_phrase(rng, rng.choice(NOUNS["transport"]), definite=True), rng.choice(VERBS[kind])
    return person(rng, asked), event(rng) if kind == "event" else rng.choice(VERBS[kind])


def with_pronoun(rng: Random, stated: Clause) -> Clause:
    """The clause with "him" for some of the people in it: where it has no time, German has one place for that."""
    person = stated.subject.person
    others = [each for each in PRONOUNS if each != stated.subject and (each.person == 3 or each.person != person)]
    objects = tuple(
        (rng.choice(others), case)
        if isinstance(argument, NounPhrase) and argument.noun.kind in PEOPLE and rng.random() < 0.25
        else (argument, case)
        for argument, case in stated.objects
    )
    return replace(stated, objects=objects)


def spot(rng: Random) -> Pair:
    """In the garden, behind the house."""
    if rng.random() < 0.6:
        return location(noun_phrase(rng, rng.choice(NOUNS[rng.choice(PLACES)])))
    *_, prepositions, landmarks = rng.choice(POSTURES)
    landmark = noun_phrase(rng, rng.choice(NOUNS[rng.choice(landmarks)]), definite=True)
    return prepositional(rng.choice(prepositions), "dat", landmark)


def identity(rng: Random) -> Pair:
    """I am a student: without an article in German, unless an adjective stands before it."""
    names, pronoun = rng.choice(((MALE, HE), (FEMALE, SHE)))
    subject: NounPhrase | Pronoun = rng.choice(
        [each for each in PRONOUNS if each.person != 3 or each.plural or each == pronoun]
    )
    if rng.random() < 0.4:
        relative = noun_phrase(rng, rng.choice(relatives(pronoun)), definite=True, plain=True)
        subject = replace(relative, determiner="the") if relative.determiner in NUMBERS else relative
    noun = NOUNS[rng.choice(names)][0]
    adjective = rng.choice(ADJECTIVES_OF[noun.en]) if rng.random() < 0.3 else None
    what = NounPhrase(noun, "" if subject.plural else "a", subject.plural, adjective)
    order = "question" if subject != I and rng.random() < 0.2 else "statement"
    negated = order == "statement" and rng.random() < 0.2
    bare = not adjective and not negated
    return equal(subject, what, what.german("nom", negated) if not bare else noun_of(what), order, negated)


def relatives(pronoun: Pronoun) -> list[Noun]:
    """Those of whom the pronoun is said."""
    genders = ("m", "w") if pronoun == HE else ("f",)
    people = [*NOUNS["kin"], *NOUNS["man"], *NOUNS["woman"], *NOUNS["lady"], *NOUNS["boy"]]
    return [noun for noun in people if noun.gender in genders]


def noun_of(what: NounPhrase) -> str:
    return replace(what, determiner="").german("nom")


def equal(subject: NounPhrase | Pronoun, what: NounPhrase, de: str, order: str, negated: bool) -> Pair:
    """Subject and what it is: "not a" is "kein" in German, so only English negates its verb."""
    same = Clause(subject, BE, complements=(Pair(what.english(), de),))
    written = Pair(english(replace(same, negated=negated), order), german(same, order))
    return sentence(written, "?" if order == "question" else ".")


def pointing(rng: Random) -> Pair:
    """This is my brother. Are these your keys? That they are something else is "kein" or "nicht"."""
    noun = rng.choice(NOUNS[rng.choice((*THINGS, *PEOPLE))])
    what = noun_phrase(rng, noun)
    what = replace(what, determiner="the") if what.determiner == "this" else what
    if ADJECTIVES_OF[noun.en] and rng.random() < 0.6:  # "ein neuer", "ein neues": elsewhere these endings are rare
        what = replace(what, adjective=rng.choice(ADJECTIVES_OF[noun.en]))
    order = rng.choice(("statement", "statement", "question"))
    negated = order == "statement" and what.determiner in ("a", "") and rng.random() < 0.25
    return equal(THESE if what.plural else THIS, what, what.german("nom", negated), order, negated)


def asking(rng: Random) -> Pair:
    """Where is my key? Who is tired? What is this?"""
    kind = rng.choice(("where", "where", "who", "what"))
    if kind == "where":
        subject = person(rng, asked=True, plain=rng.random() < 0.5)
        if rng.random() < 0.6:
            subject = noun_phrase(rng, rng.choice(NOUNS[rng.choice(THINGS)]), definite=True)
        return say(Clause(subject, BE), "question", Pair("where", "wo"))
    if kind == "who":
        quality = rng.choice(OF_PEOPLE)
        return rng.choice(
            (Pair(f"Who is {quality.en}?", f"Wer ist {quality.de}?"), Pair("Who is this?", "Wer ist das?"))
        )
    return Pair("What is this?", "Was ist das?")


SHORT = {plain: 30, identity: 7, pointing: 10, asking: 3}
