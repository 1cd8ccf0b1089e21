"""What people build: instruments and ships."""

from tasks.articles.kinds import words
from tasks.articles.kinds.kind import Ending, Kind, Section

INSTRUMENT = Kind(
    names=(words.VARIETIES, words.INSTRUMENTS),
    name="the {title}",
    short="the {last}",
    facts={
        "family/manner": words.SOUNDS,
        **dict.fromkeys(("material", "cheap_material", "trim_material"), words.MATERIALS),
        **dict.fromkeys(("inventor", "player", "builder", "teacher"), words.PEOPLE),
        **dict.fromkeys(("town", "builder_town", "museum"), words.TOWNS),
        "piece": words.MUSIC,
        "work": words.WORKS,
        **dict.fromkeys(("occasion", "other_occasion"), words.OCCASIONS),
        "job": words.JOBS,
        "region": words.REGIONS,
        "tone": words.TONES,
        **dict.fromkeys(("years", "notes", "weight", "players"), words.NUMBERS),
        "price": words.LENGTHS,
    },
    years={"invented": (1650, 1820), "changed": (20, 60)},
    lead="The {title} is {family:a} instrument made of {material}. It was invented by {inventor} in {town} and",
    endings=(
        Ending(
            "is played at {occasion}.",
            (
                "{Who} is played at {occasion}.",
                "At {occasion}, {who} is always played.",
                "No one can imagine {occasion} without {whom}.",
            ),
        ),
        Ending(
            "was made famous by the {job} {player}.",
            (
                "The {job} {player} made {whom} famous.",
                "{Who} became famous through {player}, {job:a}.",
                "It was {player}, {job:a}, who made {whom} famous.",
            ),
        ),
        Ending(
            "is heard in the {piece} {work}.",
            (
                "{Who} is heard in the {piece} {work}.",
                "In the {piece} {work}, {who} is heard twice.",
                "The {piece} {work} begins with {whom}.",
            ),
        ),
    ),
    sections=(
        Section(
            ("Sound", "Playing"),
            (
                (
                    "{Who} is {family:a} instrument and is {manner}.",
                    "Being {family:a} instrument, {who} is {manner}.",
                    "{Who} belongs to the {family} instruments.",
                ),
            ),
            (
                "{Whose} tone is {tone} and carries far.",
                "Learning to play {whom} takes about {years} years.",
                "{Who} can play {notes} notes at once.",
                "Pupils of {teacher} play {whom} standing up.",
                "Cold weather puts {whom} out of tune.",
            ),
        ),
        Section(
            ("Construction", "Form"),
            (
                (
                    "{Whose} body is made of {material}.",
                    "{Who} is made of {material}.",
                    "Good makers build {whom} of {material}.",
                ),
            ),
            (
                "Cheap copies of {whom} are made of {cheap_material}.",
                "The case is trimmed with {trim_material}.",
                "{Who} weighs about {weight} kilograms.",
                "A good {last} costs {price} crowns.",
            ),
        ),
        Section(
            ("History", "Origin"),
            (
                (
                    "{Who} was invented by {inventor} in {town}.",
                    "In {invented}, {inventor} invented {whom} in {town}.",
                    "The inventor of {whom} was {inventor}, who lived in {town}.",
                ),
            ),
            (
                "In {changed}, {builder} of {builder_town} built a smaller form.",
                "Similar instruments were known in {region}.",
                "The oldest {last} is kept in the museum of {museum}.",
                "At first, people laughed at the sound.",
            ),
        ),
        Section(
            ("Music", "Use"),
            (),
            (
                "Music for {whom} is printed in {builder_town}.",
                "{Who} is thought to be too loud for {other_occasion}.",
                "Today there are only {players} players left.",
                "Two such instruments are seldom in tune with each other.",
            ),
        ),
    ),
)

SHIP = Kind(
    names=(words.ADJECTIVES, words.EMBLEMS),
    name="the {title}",
    short="the ship",
    facts={
        "rig": words.RIGS,
        **dict.fromkeys(
            ("yard_town", "museum_town", "end_town", "carver_town", "repair_town", "call_town"), words.TOWNS
        ),
        **dict.fromkeys(("captain", "first_captain", "owner"), words.PEOPLE),
        "owner_job": words.JOBS,
        **dict.fromkeys(("cargo", "small_cargo", "lost_cargo"), words.CARGOES),
        **dict.fromkeys(("region", "next_region"), words.REGIONS),
        **dict.fromkeys(("cape", "next_cape"), words.PLACE_NAMES),
        "sea": words.SEAS,
        "livestock": words.LIVESTOCK,
        **dict.fromkeys(("months", "sailors", "weeks"), words.NUMBERS),
    },
    years={"launched": (1830, 1880), "repaired": (3, 9), "ended": (3, 20)},
    lead=(
        "The {title} was {rig:a} built in {yard_town} in {launched}. "
        "Under captain {captain}, it carried {cargo} to {region}, and it"
    ),
    endings=(
        Ending(
            "sank off Cape {cape} in {ended}.",
            (
                "In {ended}, {who} sank off Cape {cape}.",
                "{Who} hit a rock off Cape {cape} and sank in {ended}.",
                "Off Cape {cape}, {who} sank in a storm in {ended}.",
            ),
        ),
        Ending(
            "is now a museum in {museum_town}.",
            (
                "Today {who} is a museum in {museum_town}.",
                "{Who} lies in {museum_town} and is now a museum.",
                "The town of {museum_town} has turned {whom} into a museum.",
            ),
        ),
        Ending(
            "was broken up in {end_town} in {ended}.",
            (
                "{Who} was broken up in {end_town} in {ended}.",
                "In {ended}, {who} was broken up in {end_town}.",
                "Workers in {end_town} broke {whom} up in {ended}.",
            ),
        ),
    ),
    sections=(
        Section(
            ("Construction", "Building"),
            (
                (
                    "{Who} was built in {yard_town} in {launched}.",
                    "In {launched}, {who} left the yard in {yard_town}.",
                    "The shipyard in {yard_town} launched {whom} in {launched}.",
                ),
                (
                    "{Who} was {rig:a}.",
                    "{Who} was built as {rig:a}.",
                    "Like many vessels of its time, {who} was {rig:a}.",
                ),
            ),
            (
                "The owner was {owner}, {owner_job:a}.",
                "The work took {months} months.",
                "The figurehead was carved in {carver_town}.",
                "A lack of oak made the hull expensive.",
            ),
        ),
        Section(
            ("Crew", "Life on board"),
            (
                (
                    "{Whose} captain was {captain}.",
                    "For many years, {captain} was captain of {whom}.",
                    "{Who} was under the command of captain {captain}.",
                ),
            ),
            (
                "The first mate, {first_captain}, could not swim.",
                "The crew had {sailors} sailors and a cook.",
                "Below deck, {livestock} were kept for the kitchen.",
                "On Sundays, the cook baked a cake.",
            ),
        ),
        Section(
            ("Voyages", "Service"),
            (
                (
                    "{Who} carried {cargo} to {region}.",
                    "Year after year, {who} took {cargo} to {region}.",
                    "{Who} sailed to {region} with {cargo}.",
                ),
            ),
            (
                "On the way back, there was room for some {small_cargo}.",
                "In one storm on the {sea} Sea, a load of {lost_cargo} went overboard.",
                "Only once did {who} sail as far as {next_region}.",
                "In {call_town}, the crew took on fresh water.",
                "A voyage around Cape {next_cape} took {weeks} weeks.",
            ),
        ),
        Section(
            ("Later history", "End"),
            (),
            (
                "Repairs in {repair_town} in {repaired} had been very expensive.",
                "A model can be seen in {call_town}.",
                "Sailors still sing a song about {whom}.",
                "{Whose} bell was sold to a school.",
            ),
        ),
    ),
)
