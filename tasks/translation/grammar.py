"""Two grammars over one derivation: a `Clause` says who does what when, and is written in English and in German.

Nothing is drawn at random here. German endings follow from gender, case and number; German word order follows from
one rule: the finite verb stands second, or first, or last, and whatever is left of the verb stands at the end.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

from tasks.translation.lexicon import Adjective, Noun, Pair, Slot, Verb

ARTICLES = {
    "nom": {"m": "der", "f": "die", "n": "das", "p": "die"},
    "acc": {"m": "den", "f": "die", "n": "das", "p": "die"},
    "dat": {"m": "dem", "f": "der", "n": "dem", "p": "den"},
}
STRONG = {  # the endings that show case and gender where no article does
    "nom": {"m": "er", "f": "e", "n": "es", "p": "e"},
    "acc": {"m": "en", "f": "e", "n": "es", "p": "e"},
    "dat": {"m": "em", "f": "er", "n": "em", "p": "en"},
}
BARE_EIN = {("nom", "m"), ("nom", "n"), ("acc", "n")}  # "ein", "kein", "mein" without an ending
EIN_WORDS = {"a": "ein", "no": "kein"}  # and the possessives, from PRONOUNS
NO_WORDS = Pair("", "")
NUMBERS = {"two": "zwei", "three": "drei", "four": "vier", "five": "fünf"}
CONTRACTIONS = {
    "in dem": "im", "in das": "ins", "an dem": "am", "an das": "ans",
    "zu dem": "zum", "zu der": "zur", "von dem": "vom",
}  # fmt: skip


class Pronoun(NamedTuple):
    en: str
    en_object: str
    en_possessive: str
    de: str
    de_acc: str
    de_dat: str
    de_possessive: str
    person: int
    plural: bool

    def english(self, case: str) -> str:
        return self.en if case == "nom" else self.en_object

    def german(self, case: str) -> str:
        return {"nom": self.de, "acc": self.de_acc, "dat": self.de_dat}[case]


I = Pronoun("I", "me", "my", "ich", "mich", "mir", "mein", 1, False)  # noqa: E741
YOU = Pronoun("you", "you", "your", "du", "dich", "dir", "dein", 2, False)
HE = Pronoun("he", "him", "his", "er", "ihn", "ihm", "sein", 3, False)
SHE = Pronoun("she", "her", "her", "sie", "sie", "ihr", "ihr", 3, False)
WE = Pronoun("we", "us", "our", "wir", "uns", "uns", "unser", 1, True)
THEY = Pronoun("they", "them", "their", "sie", "sie", "ihnen", "ihr", 3, True)
PRONOUNS = (I, YOU, HE, SHE, WE, THEY)
WHO = Pronoun("who", "who", "", "wer", "wen", "wem", "", 3, False)
POSSESSIVES = {pronoun.en_possessive: pronoun.de_possessive for pronoun in PRONOUNS}
EIN_WORDS |= POSSESSIVES


@dataclass(frozen=True)
class NounPhrase:
    noun: Noun
    determiner: str = "the"  # the, this, a, a possessive, a number, or "" for none
    plural: bool = False
    adjective: Adjective | None = None
    person: int = 3

    def english(self, case: str = "nom") -> str:
        noun = self.noun.en_plural if self.plural else self.noun.en
        words = [self.adjective.en, noun] if self.adjective else [noun]
        determiner = self.determiner
        if determiner == "this" and self.plural:
            determiner = "these"
        if determiner == "a" and words[0][0] in "aeiou":
            determiner = "an"
        return phrase(determiner, *words)

    def german(self, case: str, negated: bool = False) -> str:
        gender = "p" if self.plural else self.noun.gender.replace("w", "m")
        determiner = "no" if negated and self.determiner in ("a", "") else self.determiner
        article, ending = german_determiner(determiner, case, gender)
        adjective = self.adjective.stem + ending if self.adjective else ""
        return phrase(article, adjective, german_noun(self.noun, case, self.plural))


def german_determiner(determiner: str, case: str, gender: str) -> tuple[str, str]:
    """The German determiner, and the ending that an adjective takes after it."""
    strong = STRONG[case][gender]
    weak = "e" if (case, gender) in BARE_EIN | {("nom", "f"), ("acc", "f")} else "en"
    if determiner == "the":
        return ARTICLES[case][gender], weak
    if determiner == "this":
        return "dies" + strong, weak
    if determiner in EIN_WORDS:
        # The adjective shows the gender where the ein-word does not: "ein alter Mann", "einen alten Mann".
        bare = (case, gender) in BARE_EIN
        return EIN_WORDS[determiner] + ("" if bare else strong), strong if bare else weak
    return NUMBERS.get(determiner, ""), strong


def german_noun(noun: Noun, case: str, plural: bool) -> str:
    if plural:
        return noun.de_plural + ("n" if case == "dat" and noun.de_plural[-1] not in "ns" else "")
    return noun.de_plural if noun.gender == "w" and case != "nom" else noun.de


def prepositional(preposition: Pair, case: str, argument: NounPhrase | Pronoun) -> Pair:
    german = f"{preposition.de} {argument.german(case)}"
    for full, short in CONTRACTIONS.items():
        if german.startswith(full + " "):
            german = short + german.removeprefix(full)
            break
    return Pair(f"{preposition.en} {argument.english(case)}", german)


def location(place: NounPhrase) -> Pair:
    """Being there: "in the garden", "im Garten"."""
    assert place.noun.location is not None, f"{place.noun.en} is no place"
    return prepositional(place.noun.location, "dat", place)


def direction(place: NounPhrase) -> Pair:
    """Going there: into a place takes the accusative, up to it takes "zu" and the dative."""
    assert place.noun.location is not None, f"{place.noun.en} is no place"
    preposition = place.noun.location.de
    if preposition == "in":
        return prepositional(Pair("to", "in"), "acc", place)
    return prepositional(Pair("to", "zu"), "dat", place)


class Modal(NamedTuple):
    en: str  # an auxiliary, or "want", which is a verb
    en_rest: str
    de: str


MODALS = (
    Modal("can", "", "können"),
    Modal("must", "", "müssen"),
    Modal("should", "", "sollten"),
    Modal("will", "", "werden"),
    Modal("would", "like to", "möchten"),
    Modal("want", "to", "wollen"),
)
Tense = str | Modal  # "present", "progressive", "past", or a modal


@dataclass(frozen=True)
class Clause:
    subject: NounPhrase | Pronoun
    verb: Verb
    tense: Tense = "present"
    objects: tuple[tuple[NounPhrase | Pronoun, str], ...] = ()  # each with its German case, dative first
    complements: tuple[Pair, ...] = ()
    time: Pair | None = None
    adverb: Pair | None = None  # "often": before the verb in English
    negated: bool = False


def write(clause: Clause, order: str, opening: Pair = NO_WORDS) -> Pair:
    """The clause in both languages. Orders: statement, fronted (the time first), question, subordinate, and
    main: what follows a subordinate clause, which German begins with the verb."""
    return Pair(english(clause, order, opening.en), german(clause, order, opening.de))


def phrase(*words: str) -> str:
    return " ".join(filter(None, words))


def sentence(pair: Pair, end: str = ".") -> Pair:
    return Pair(*(text[0].upper() + text[1:] + end for text in pair))


def say(clause: Clause, order: str = "statement", opening: Pair = NO_WORDS) -> Pair:
    """The clause as a sentence of its own."""
    return sentence(write(clause, order, opening), "?" if order == "question" or clause.subject == WHO else ".")


def english(clause: Clause, order: str, opening: str = "") -> str:
    subject = clause.subject.english("nom")
    auxiliary, verb = english_verb(clause, support=clause.negated or order == "question")
    negation = "not" if clause.negated else ""
    head = phrase(auxiliary, subject) if order == "question" else phrase(subject, auxiliary)
    text = phrase(
        opening,
        clause.time.en if clause.time and order == "fronted" else "",
        head,
        negation,
        clause.adverb.en if clause.adverb else "",
        verb,
        *(argument.english(case) for argument, case in clause.objects),
        *(complement.en for complement in clause.complements),
        clause.time.en if clause.time and order != "fronted" else "",
    )
    return text.replace("can not", "cannot")


def english_verb(clause: Clause, support: bool) -> tuple[str, str]:
    """The auxiliary and the rest; simple tenses have an auxiliary only where they need its support."""
    verb, tense, subject = clause.verb, clause.tense, clause.subject
    if verb.en == "be" and isinstance(tense, str):
        return english_be(subject, tense), ""
    if tense == "progressive":
        return english_be(subject, "present"), phrase(verb.en_ing, verb.en_particle)
    base = phrase(verb.en, verb.en_particle)
    if isinstance(tense, Modal):
        rest = phrase(tense.en_rest, base)
        if tense.en != "want":
            return tense.en, rest
        verb, base = replace(verb, en="want", en_particle=rest), phrase("want", rest)
    if tense == "past":
        return ("did", base) if support else ("", phrase(verb.en_past, verb.en_particle))
    third = subject.person == 3 and not subject.plural
    if support:
        return "does" if third else "do", base
    return "", phrase(english_third(verb.en) if third else verb.en, verb.en_particle)


def english_third(verb: str) -> str:
    if verb == "have":
        return "has"
    if verb.endswith(("s", "sh", "ch", "x", "o")):
        return verb + "es"
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ies"
    return verb + "s"


def english_be(subject: NounPhrase | Pronoun, tense: str) -> str:
    singular = not subject.plural and subject.person != 2
    if tense == "past":
        return "was" if singular else "were"
    return {1: "am", 3: "is"}[subject.person] if singular else "are"


def german(clause: Clause, order: str, opening: str = "") -> str:
    subject = clause.subject.german("nom")
    finite, prefix, rest = german_verb(clause)
    pronouns, nouns, absorbed = [], [], False
    for argument, case in clause.objects:
        if isinstance(argument, Pronoun):
            pronouns.append(argument.german(case))
            continue
        # "Nicht ein Auto" is "kein Auto".
        absorbed |= clause.negated and case == "acc" and argument.determiner in ("a", "")
        nouns.append(argument.german(case, absorbed))
    middle = [
        *pronouns,
        clause.adverb.de if clause.adverb else "",
        clause.time.de if clause.time and order != "fronted" else "",
        *nouns,
        "nicht" if clause.negated and not absorbed else "",
        *(complement.de for complement in clause.complements),
    ]
    if order == "subordinate":
        return phrase(opening, subject, *middle, rest, prefix + finite)
    if order == "fronted" and clause.time:
        return phrase(clause.time.de, finite, subject, *middle, prefix, rest)
    if order == "statement":
        return phrase(opening, subject, finite, *middle, prefix, rest)
    return phrase(opening, finite, subject, *middle, prefix, rest)


def german_verb(clause: Clause) -> tuple[str, str, str]:
    """The finite verb, its prefix where that stands alone, and the infinitive or participle at the end."""
    verb, tense = clause.verb, clause.tense
    if isinstance(tense, Modal):
        return german_finite(tense.de, "", clause.subject), "", verb.prefix + verb.de
    if tense == "past":
        if verb.de == "sein":
            return german_finite("war", "", clause.subject), "", ""
        return german_finite(verb.auxiliary, "", clause.subject), "", verb.participle
    return german_finite(verb.de, verb.de_third, clause.subject), verb.prefix, ""


IRREGULAR = {  # ich, du, er, wir
    "sein": "bin bist ist sind",
    "war": "war warst war waren",
    "haben": "habe hast hat haben",
    "werden": "werde wirst wird werden",
    "können": "kann kannst kann können",
    "müssen": "muss musst muss müssen",
    "sollten": "sollte solltest sollte sollten",
    "wollen": "will willst will wollen",
    "mögen": "mag magst mag mögen",
    "möchten": "möchte möchtest möchte möchten",
    "wissen": "weiß weißt weiß wissen",
}


def german_finite(infinitive: str, third: str, subject: NounPhrase | Pronoun) -> str:
    """The present: "ich" and "wir" follow the infinitive, "du" follows the er-form with its changed vowel."""
    if infinitive in IRREGULAR:
        forms = IRREGULAR[infinitive].split()
    else:
        stem = third.removesuffix("t")
        first = infinitive.removesuffix("n") if infinitive.endswith("en") else infinitive[:-1] + "e"
        second = third if stem.endswith(("s", "ß", "x", "z")) else stem + "st"
        forms = [first, second, third, infinitive]
    return forms[3 if subject.plural else subject.person - 1]


def fill(slot: Slot, argument: NounPhrase | Pronoun) -> Pair | None:
    """What stands after the objects: a place or a prepositional object; None for an object itself."""
    if slot.role in ("in", "to"):
        assert isinstance(argument, NounPhrase), "a place is a noun"
        return location(argument) if slot.role == "in" else direction(argument)
    return prepositional(slot.preposition, slot.role, argument) if slot.preposition else None
