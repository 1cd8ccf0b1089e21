"""The dictionary of the translation sample: nouns, adjectives and verbs, English beside German.

Each table is text, so that it can be proofread like a page of a dictionary. What the grammar needs to know of a
word stands beside it: its gender, its irregular forms, the things it can be said of.
Ambiguous English words are left out or given one meaning: a `teacher` is always `Lehrer`, `you` is always `du`.
"""

from dataclasses import dataclass
from typing import NamedTuple


class Pair(NamedTuple):
    """The same words in both languages."""

    en: str
    de: str


@dataclass(frozen=True)
class Noun:
    kind: str
    en: str
    en_plural: str
    de: str
    de_plural: str
    gender: str  # m, f, n, or w: a "weak" masculine, which ends as in the plural outside the nominative
    location: Pair | None = None  # the prepositions of being there, for places


@dataclass(frozen=True)
class Adjective:
    en: str
    de: str
    stem: str  # what the endings are added to
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class Slot:
    """A complement of a verb: `acc`, `dat`, `in` (being there), `to` (going there), or a preposition's case."""

    role: str
    nouns: tuple[Noun, ...]
    preposition: Pair | None = None


@dataclass(frozen=True)
class Verb:
    en: str
    en_past: str
    en_ing: str
    en_particle: str  # "up" in "get up"
    de: str
    de_third: str
    prefix: str  # "auf" in "aufstehen": it leaves the verb in main clauses
    auxiliary: str
    participle: str
    slots: tuple[Slot, ...]


# singular, plural, Singular, Plural, gender, and for places "in" or the two prepositions; "-" where no plural is used
NOUN_TABLES = {
    "person": """
        man men Mann Männer m; woman women Frau Frauen f; boy boys Junge Jungen w; girl girls Mädchen Mädchen n;
        child children Kind Kinder n; teacher teachers Lehrer Lehrer m; doctor doctors Arzt Ärzte m;
        nurse nurses Krankenschwester Krankenschwestern f; student students Student Studenten w;
        farmer farmers Bauer Bauern w; baker bakers Bäcker Bäcker m; gardener gardeners Gärtner Gärtner m;
        waiter waiters Kellner Kellner m; waitress waitresses Kellnerin Kellnerinnen f;
        actress actresses Schauspielerin Schauspielerinnen f; artist artists Künstler Künstler m;
        guest guests Gast Gäste m; tourist tourists Tourist Touristen w;
        policeman policemen Polizist Polizisten w; lawyer lawyers Anwalt Anwälte m;
        engineer engineers Ingenieur Ingenieure m; lady ladies Dame Damen f; customer customers Kunde Kunden w;
        singer singers Sänger Sänger m
    """,
    "kin": """
        father - Vater - m; mother - Mutter - f; brother brothers Bruder Brüder m;
        sister sisters Schwester Schwestern f; son sons Sohn Söhne m; daughter daughters Tochter Töchter f;
        uncle uncles Onkel Onkel m; aunt aunts Tante Tanten f; nephew nephews Neffe Neffen w;
        niece nieces Nichte Nichten f; grandfather - Großvater - m; grandmother - Großmutter - f;
        friend friends Freund Freunde m; neighbor neighbors Nachbar Nachbarn w;
        colleague colleagues Kollege Kollegen w; boss - Chef - m
    """,
    "animal": """
        dog dogs Hund Hunde m; cat cats Katze Katzen f; horse horses Pferd Pferde n; bird birds Vogel Vögel m;
        cow cows Kuh Kühe f; rabbit rabbits Kaninchen Kaninchen n; duck ducks Ente Enten f;
        goat goats Ziege Ziegen f
    """,
    "fruit": """
        apple apples Apfel Äpfel m; tomato tomatoes Tomate Tomaten f; potato potatoes Kartoffel Kartoffeln f;
        egg eggs Ei Eier n; cake cakes Kuchen Kuchen m; roll rolls Brötchen Brötchen n;
        sausage sausages Wurst Würste f; pizza pizzas Pizza Pizzas f
    """,
    "staple": """
        bread - Brot - n; cheese - Käse - m; meat - Fleisch - n; fish - Fisch - m; rice - Reis - m;
        soup - Suppe - f
    """,
    "drink": """
        coffee - Kaffee - m; tea - Tee - m; water - Wasser - n; milk - Milch - f; juice - Saft - m;
        cocoa - Kakao - m
    """,
    "text": """
        book books Buch Bücher n; letter letters Brief Briefe m; newspaper newspapers Zeitung Zeitungen f;
        story stories Geschichte Geschichten f; poem poems Gedicht Gedichte n;
        message messages Nachricht Nachrichten f; novel novels Roman Romane m
    """,
    "clothing": """
        shirt - Hemd - n; coat - Mantel - m; hat - Hut - m; jacket - Jacke - f; sweater - Pullover - m;
        scarf - Schal - m
    """,
    "thing": """
        key keys Schlüssel Schlüssel m; umbrella umbrellas Regenschirm Regenschirme m;
        bag bags Tasche Taschen f; knife knives Messer Messer n; wallet wallets Brieftasche Brieftaschen f;
        ring rings Ring Ringe m; phone phones Handy Handys n; ball balls Ball Bälle m
    """,
    "paper": """
        ticket tickets Fahrkarte Fahrkarten f; map maps Landkarte Landkarten f; photo photos Foto Fotos n
    """,
    "dish": """
        cup cups Tasse Tassen f; plate plates Teller Teller m; bottle bottles Flasche Flaschen f;
        pot pots Topf Töpfe m
    """,
    "device": """
        computer computers Computer Computer m; radio radios Radio Radios n; lamp lamps Lampe Lampen f;
        television televisions Fernseher Fernseher m; camera cameras Kamera Kameras f
    """,
    "vehicle": """
        car cars Auto Autos n; bicycle bicycles Fahrrad Fahrräder n; truck trucks Lastwagen Lastwagen m
    """,
    "transport": """
        bus buses Bus Busse m; train trains Zug Züge m; ship ships Schiff Schiffe n
    """,
    "furniture": """
        table tables Tisch Tische m; chair chairs Stuhl Stühle m; cupboard cupboards Schrank Schränke m;
        shelf shelves Regal Regale n; bench benches Bank Bänke f
    """,
    "opening": """
        door doors Tür Türen f; window windows Fenster Fenster n; box boxes Kiste Kisten f;
        suitcase suitcases Koffer Koffer m
    """,
    "sight": """
        flower flowers Blume Blumen f; tree trees Baum Bäume m; house houses Haus Häuser n;
        bridge bridges Brücke Brücken f
    """,
    "indoors": """
        kitchen - Küche - f in; bedroom - Schlafzimmer - n in; room - Zimmer - n in; cellar - Keller - m in;
        garage - Garage - f in; office - Büro - n in
    """,
    "town": """
        school - Schule - f in; hospital - Krankenhaus - n in; restaurant - Restaurant - n in;
        library - Bibliothek - f in; church - Kirche - f in; museum - Museum - n in; theater - Theater - n in;
        hotel - Hotel - n in; supermarket - Supermarkt - m in; station - Bahnhof - m at/an;
        airport - Flughafen - m at/an; market - Markt - m at/auf
    """,
    "outdoors": """
        garden - Garten - m in; park - Park - m in; forest - Wald - m in; village - Dorf - n in;
        city - Stadt - f in; beach - Strand - m at/an; lake - See - m at/an
    """,
}

# English, German (with its stem where that differs), and the nouns it is said of; "mood": of people, after "is".
ADJECTIVE_TABLE = """
    old alt transport person kin animal clothing paper device vehicle tree house bridge town text;
    young jung person kin animal; tall groß person kin tree house;
    big groß animal fruit dish furniture indoors vehicle thing house city garden;
    small klein animal fruit dish furniture indoors vehicle thing house village garden child;
    friendly freundlich person kin; famous berühmt person; rich reich person kin; poor arm person kin;
    strong stark person kin; clever klug person kin animal; nice nett person kin; polite höflich person kin;
    brave mutig person; funny lustig person kin text; lazy faul animal person kin;
    tired müde mood animal person; hungry hungrig mood animal person; thirsty durstig mood animal;
    happy glücklich mood person; sad traurig mood person; angry wütend mood person; sick krank mood animal person;
    nervous nervös mood person; black schwarz animal clothing thing vehicle device furniture;
    white weiß animal clothing dish vehicle house; brown braun animal clothing furniture opening;
    red rot clothing vehicle thing dish flower house apple door; blue blau clothing vehicle thing dish door;
    green grün clothing furniture opening vehicle room apple; yellow gelb clothing flower house thing room;
    fresh frisch fruit staple milk; delicious lecker fruit staple; good gut drink text cheese meat person;
    cold kalt drink soup meat room; hot heiß coffee tea cocoa milk water soup meat potato egg;
    warm warm clothing staple room; cheap billig clothing device fruit thing;
    expensive teuer/teur clothing device vehicle thing; long lang text; interesting interessant text museum city;
    new neu device vehicle clothing thing paper furniture town house; modern modern device town;
    broken kaputt device vehicle thing; fast schnell vehicle transport; heavy schwer furniture suitcase box door bag;
    bright hell indoors; dirty schmutzig indoors dish opening clothing; clean sauber indoors dish clothing;
    quiet ruhig outdoors room bedroom office library; beautiful schön sight outdoors town woman girl
"""

# base, past, -ing, particle | infinitive (prefix- where separable), er-form, (ist) participle | complements.
# A complement names a role, then kinds of nouns or single nouns; for/auf/acc is a preposition and its German case.
VERB_TABLES = {
    "event": """
        buy bought buying | kaufen kauft gekauft | acc fruit staple drink clothing book newspaper novel thing device
        sell sold selling | verkaufen verkauft verkauft | acc fruit clothing vehicle device animal
        eat ate eating | essen isst gegessen | acc fruit staple
        drink drank drinking | trinken trinkt getrunken | acc drink
        read read reading | lesen liest gelesen | acc text
        write wrote writing | schreiben schreibt geschrieben | acc letter story poem message novel
        look looked looking for | suchen sucht gesucht | acc thing paper animal
        wear wore wearing | tragen trägt getragen | acc clothing
        wash washed washing | waschen wäscht gewaschen | acc clothing car truck apple tomato potato
        cook cooked cooking | kochen kocht gekocht | acc soup rice meat fish egg potato
        bake baked baking | backen backt gebacken | acc bread cake roll pizza
        cut cut cutting | schneiden schneidet geschnitten | acc bread cheese meat cake tomato sausage
        repair repaired repairing | reparieren repariert repariert | acc vehicle device door bridge
        clean cleaned cleaning | putzen putzt geputzt | acc indoors window
        visit visited visiting | besuchen besucht besucht | acc kin museum
        paint painted painting | malen malt gemalt | acc sight animal
        draw drew drawing | zeichnen zeichnet gezeichnet | acc sight animal
        photograph photographed photographing | fotografieren fotografiert fotografiert | acc sight animal
        feed fed feeding | füttern füttert gefüttert | acc animal
        open opened opening | öffnen öffnet geöffnet | acc opening bottle
        close closed closing | schließen schließt geschlossen | acc opening
        call called calling | an-rufen ruft angerufen | acc kin person
        pick picked picking up | ab-holen holt abgeholt | acc kin person
        invite invited inviting | ein-laden lädt eingeladen | acc kin person
        turn turned turning on | ein-schalten schaltet eingeschaltet | acc device
        turn turned turning off | aus-schalten schaltet ausgeschaltet | acc device
        put put putting on | an-ziehen zieht angezogen | acc shirt coat jacket sweater
        take took taking off | aus-ziehen zieht ausgezogen | acc shirt coat jacket sweater
        bring brought bringing along | mit-bringen bringt mitgebracht | acc fruit drink thing
        throw threw throwing away | weg-werfen wirft weggeworfen | acc dish text
        tidy tidied tidying up | auf-räumen räumt aufgeräumt | acc indoors
        give gave giving | geben gibt gegeben | dat kin person | acc thing text fruit
        show showed showing | zeigen zeigt gezeigt | dat kin person | acc text thing paper animal
        send sent sending | schicken schickt geschickt | dat kin person | acc letter message photo ticket
        lend lent lending | leihen leiht geliehen | dat kin | acc book vehicle umbrella camera
        bring brought bringing | bringen bringt gebracht | dat kin person | acc drink staple fruit dish
        help helped helping | helfen hilft geholfen | dat kin person
        thank thanked thanking | danken dankt gedankt | dat kin person
        answer answered answering | antworten antwortet geantwortet | dat kin person
        listen listened listening to | zu-hören hört zugehört | dat kin person
        wait waited waiting | warten wartet gewartet | for/auf/acc kin transport
        speak spoke speaking | sprechen spricht gesprochen | with/mit/dat kin person
        talk talked talking | reden redet geredet | about/über/acc text kin
        tell told telling | erzählen erzählt erzählt | dat kin person | about/von/dat sight animal
        play played playing | spielen spielt gespielt | with/mit/dat kin dog cat
        play played playing | spielen spielt gespielt | in garden park forest room
        go went going | gehen geht ist gegangen | to town outdoors
        travel traveled traveling | fahren fährt ist gefahren | to outdoors station airport hotel hospital museum
        run ran running | laufen läuft ist gelaufen | to outdoors station school
        come came coming | kommen kommt ist gekommen | to hotel restaurant museum theater station market office
        work worked working | arbeiten arbeitet gearbeitet | in town garden office
        sleep slept sleeping | schlafen schläft geschlafen | in bedroom room hotel garden
        study studied studying | lernen lernt gelernt | in library school office room
        dance danced dancing | tanzen tanzt getanzt | in kitchen garden restaurant theater hotel
        sing sang singing | singen singt gesungen | in church theater garden school
        sit sat sitting | sitzen sitzt gesessen | in garden park forest beach lake restaurant kitchen
        wait waited waiting | warten wartet gewartet | in station airport office park garage
        shop shopped shopping | ein-kaufen kauft eingekauft | in supermarket market city village
    """,
    # What happens to people, so that nobody is said to want it: used in the past.
    "mishap": """
        lose lost - | verlieren verliert verloren | acc thing paper
        find found - | finden findet gefunden | acc thing paper
        forget forgot - | vergessen vergisst vergessen | acc thing paper text
        break broke - | zerbrechen zerbricht zerbrochen | acc dish
        miss missed - | verpassen verpasst verpasst | acc bus train ship
        meet met - | treffen trifft getroffen | acc kin person
        see saw - | sehen sieht gesehen | acc kin person animal sight
    """,
    # What is so, without a time: used in the present.
    "state": """
        have had - | haben hat gehabt | acc animal vehicle device thing clothing furniture
        need needed - | brauchen braucht gebraucht | acc thing device furniture vehicle
        love loved - | lieben liebt geliebt | acc kin animal
        know knew - | kennen kennt gekannt | acc kin person city village hospital
        like liked - | mögen mag gemocht | acc fruit staple drink
        understand understood - | verstehen versteht verstanden | acc text kin person
    """,
    # What has an hour.
    "routine": """
        get got getting up | auf-stehen steht ist aufgestanden |
        fall fell falling asleep | ein-schlafen schläft ist eingeschlafen |
        go went going out | aus-gehen geht ist ausgegangen |
        come came coming back | zurück-kommen kommt ist zurückgekommen |
        watch watched watching television | fern-sehen sieht ferngesehen |
        have had having breakfast | frühstücken frühstückt gefrühstückt |
    """,
    "departure": """
        arrive arrived arriving | an-kommen kommt ist angekommen |
        leave left leaving | ab-fahren fährt ist abgefahren |
    """,
    # What takes a clause.
    "thought": """
        say said saying | sagen sagt gesagt |
        think thought thinking | denken denkt gedacht |
        believe believed believing | glauben glaubt geglaubt |
        hope hoped hoping | hoffen hofft gehofft |
        know knew knowing | wissen weiß gewusst |
    """,
    "animal": """
        sleep slept sleeping | schlafen schläft geschlafen | in garden park forest village garage
        run ran running | laufen läuft ist gelaufen | to garden park forest village lake
        bark barked barking | bellen bellt gebellt | in garden park forest village garage
        jump jumped jumping | springen springt ist gesprungen | over/über/acc bench box suitcase
        eat ate eating | fressen frisst gefressen | acc fruit meat fish bread
        drink drank drinking | trinken trinkt getrunken | acc water milk
        sing sang singing | singen singt gesungen | in garden park forest
        play played playing | spielen spielt gespielt | in garden park village
    """,
}

# English/German. Each set of times goes with its own tenses: "they read on Monday" is past, and has one translation.
DAYS = """
    on Monday/am Montag; on Tuesday/am Dienstag; on Wednesday/am Mittwoch; on Thursday/am Donnerstag;
    on Friday/am Freitag; on Saturday/am Samstag; on Sunday/am Sonntag
"""
PHRASE_TABLES = {
    "often": "always/immer; usually/meistens; often/oft; sometimes/manchmal",
    "rarely": "rarely/selten; never/nie",
    "every": """
        every day/jeden Tag; every morning/jeden Morgen; every evening/jeden Abend; every week/jede Woche;
        every Sunday/jeden Sonntag; every weekend/jedes Wochenende
    """,
    "now": "now/jetzt; today/heute; at the moment/im Moment",
    "past": f"""
        yesterday/gestern; yesterday evening/gestern Abend; this morning/heute Morgen; last week/letzte Woche;
        an hour ago/vor einer Stunde; {DAYS.strip()}
    """,
    "future": f"""
        today/heute; tomorrow/morgen; tonight/heute Abend; soon/bald; next week/nächste Woche; {DAYS.strip()}
    """,
    "hour": """
        at six o'clock/um sechs Uhr; at seven o'clock/um sieben Uhr; at eight o'clock/um acht Uhr;
        at nine o'clock/um neun Uhr; at ten o'clock/um zehn Uhr; at eleven o'clock/um elf Uhr
    """,
    # after "when", in German's order for subordinate clauses
    "weather": """
        it rains/es regnet; it snows/es schneit; the sun shines/die Sonne scheint;
        the weather is good/das Wetter gut ist; the weather is bad/das Wetter schlecht ist
    """,
}


def _noun(kind: str, line: str) -> Noun:
    en, en_plural, de, de_plural, gender, *place = line.split()
    location = None
    if place:
        en_in, _, de_in = place[0].partition("/")
        location = Pair(en_in, de_in or en_in)
    return Noun(kind, en, en_plural, de, de_plural, gender, location)


def _adjective(line: str) -> Adjective:
    en, forms, *kinds = line.split()
    de, _, stem = forms.partition("/")
    return Adjective(en, de, stem or de.removesuffix("e"), tuple(kinds))


def _slot(text: str) -> Slot:
    role, *names = text.split()
    preposition = None
    if "/" in role:
        en, de, role = role.split("/")
        preposition = Pair(en, de)
    return Slot(role, tuple(noun for name in names for noun in NOUNS[name]), preposition)


def _verb(line: str) -> Verb:
    english, german, *slots = line.split("|")
    en, past, ing, *particle = english.split()
    infinitive, third, *with_to_be, participle = german.split()
    prefix, _, stem = infinitive.rpartition("-")
    auxiliary = "sein" if with_to_be else "haben"
    frame = tuple(_slot(slot) for slot in slots if slot.strip())
    return Verb(en, past, ing, " ".join(particle), stem, third, prefix, auxiliary, participle, frame)


def _lines(table: str) -> list[str]:
    return [entry for line in table.strip().splitlines() for entry in line.split(";") if entry.strip()]


# A kind's nouns, and each noun under its own English name: complements may name either.
NOUNS = {kind: tuple(_noun(kind, line) for line in _lines(table)) for kind, table in NOUN_TABLES.items()}
NOUNS |= {noun.en: (noun,) for nouns in list(NOUNS.values()) for noun in nouns}
PHRASES = {
    name: tuple(Pair(*entry.strip().split("/")) for entry in _lines(table)) for name, table in PHRASE_TABLES.items()
}
ADJECTIVES = tuple(_adjective(line) for line in _lines(ADJECTIVE_TABLE))
VERBS = {name: tuple(_verb(line) for line in _lines(table)) for name, table in VERB_TABLES.items()}
COME = _verb("come came coming | kommen kommt ist gekommen |")
STAY = _verb("stay stayed staying | bleiben bleibt ist geblieben |")
# English "is" of things is "liegt" or "steht" in German, by the thing.
BE = _verb("be was - | sein ist ist gewesen |")
LIE = _verb("be was - | liegen liegt gelegen |")
STAND = _verb("be was - | stehen steht gestanden |")
