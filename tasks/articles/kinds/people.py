"""People and the towns that they live in."""

from tasks.articles.kinds import words
from tasks.articles.kinds.kind import Ending, Kind, Section

PERSON = Kind(
    names=(words.WOMEN + words.MEN, words.FAMILIES),
    name="{title}",
    short="{last}",
    facts={
        "profession/piece": words.CRAFTS,
        **dict.fromkeys(("first_job", "father_job", "mother_job", "friend_job", "hoped_job"), words.JOBS),
        **dict.fromkeys(("birthplace", "home", "family_town", "winter_town", "grave_town", "museum_town"), words.TOWNS),
        **dict.fromkeys(("teacher", "friend", "pupil"), words.PEOPLE),
        **dict.fromkeys(("work", "early_work", "late_work"), words.WORKS),
        "award": words.AWARDS,
        "pastime": words.PASTIMES,
        "pets": words.PETS,
        "temper": words.TEMPERS,
        **dict.fromkeys(("siblings", "hours"), words.NUMBERS),
    },
    years={"born": (1760, 1860), "moved": (18, 24), "finished": (5, 25), "died": (5, 25)},
    lead="{title} was {profession:a} who was born in {birthplace} and lived in {home}.",
    endings=(
        Ending(
            "{He} is best known for the {piece} {work}, finished in {finished}.",
            (
                "{Whose} best-known {piece} is {work}, which was finished in {finished}.",
                "{Who} became famous in {finished} with the {piece} {work}.",
                "The {piece} {work}, finished in {finished}, made {whom} famous.",
            ),
        ),
        Ending(
            "{He} won the {award} for the {piece} {work}.",
            (
                "For the {piece} {work}, {who} was given the {award}.",
                "{Who} won the {award} with the {piece} {work}.",
                "The {piece} {work} earned {whom} the {award}.",
            ),
        ),
        Ending(
            "{He} is remembered for the {piece} {work} and as the teacher of {pupil}.",
            (
                "{Who} taught {pupil}, and the {piece} {work} is still loved today.",
                "The {piece} {work} is still admired, and so is {pupil}, {whose} pupil.",
                "Today people remember the {piece} {work} and {whose} pupil {pupil}.",
            ),
        ),
    ),
    sections=(
        Section(
            ("Early life", "Childhood"),
            (
                (
                    "{Who} was born in {birthplace} in {born}.",
                    "In {born}, {who} was born in the town of {birthplace}.",
                    "{Whose} life began in {birthplace} in {born}.",
                    "{Who} was born and grew up in {birthplace}.",
                ),
            ),
            (
                "{Whose} father was {father_job:a}, and {his} mother was {mother_job:a}.",
                "As a child, {who} liked {pastime}.",
                "{Whose} grandparents lived far away in {family_town}.",
                "{Who} had {siblings} brothers and sisters.",
                "{Whose} parents had come from {family_town}.",
            ),
        ),
        Section(
            ("Career", "Training"),
            (
                (
                    "{Who} earned {his} living as {profession:a}.",
                    "After some years as {first_job:a}, {who} became {profession:a}.",
                    "{Who} was first {first_job:a} and then {profession:a}.",
                    "{Who} left school early and trained as {profession:a}.",
                ),
            ),
            (
                "{Whose} first teacher was {teacher}, {friend_job:a}.",
                "{Who} was often short of money when {he} was young.",
                "{Who} shared a room with {friend}, who snored.",
                "{Whose} parents had hoped for {hoped_job:a} instead.",
                "{Who} often worked {hours} hours a day.",
            ),
        ),
        Section(
            ("Home", "Private life"),
            (
                (
                    "{Who} lived in {home} for most of {his} life.",
                    "From {moved} on, {whose} home was in {home}.",
                    "{Who} moved to {home} in {moved} and bought a house there.",
                    "For many years, {who} lived in {home}.",
                ),
            ),
            (
                "{Who} spent one winter in {winter_town}, but did not like it there.",
                "{Who} kept {pets} in the garden.",
                "{Whose} grave is in {grave_town} and bears the year {died}.",
                "Neighbours remembered {whom} as {temper:a} person.",
                "{Who} wrote many letters to {friend}.",
            ),
        ),
        Section(
            ("Works",),
            (),
            (
                "{Whose} first {piece}, {early_work}, was soon forgotten.",
                "{Who} never finished {his} last {piece}, {late_work}.",
                "The {piece} {early_work} was lost in a fire.",
                "{Who} worked slowly and often at night.",
                "The museum in {museum_town} keeps {whose} letters.",
            ),
        ),
    ),
)

TOWN = Kind(
    names=(words.TOWN_QUALIFIERS, words.TOWNS),
    name="{title}",
    short="{title}",
    facts={
        "sort": words.TOWN_SORTS,
        **dict.fromkeys(("region", "next_region"), words.REGIONS),
        **dict.fromkeys(("river", "stream"), words.PLACE_NAMES),
        **dict.fromkeys(("founders", "wall_builders"), words.FOUNDERS),
        **dict.fromkeys(("product", "old_product", "exports", "imports"), words.PRODUCTS),
        **dict.fromkeys(("next_town", "twin_town", "school_town"), words.TOWNS),
        **dict.fromkeys(("person", "mayor"), words.PEOPLE),
        **dict.fromkeys(("job", "mayor_job"), words.JOBS),
        "month": words.MONTHS,
        "fair": words.FAIRS,
        "building": words.BUILDINGS,
        "peak": words.PLACE_NAMES,
        **dict.fromkeys(("distance", "families", "thousands"), words.NUMBERS),
    },
    years={"founded": (1050, 1450), "burned": (60, 200), "opened": (60, 200)},
    lead="{title} is {sort:a} town on the river {river} in {region}. It was founded by {founders} and",
    endings=(
        Ending(
            "is known for its {product}.",
            (
                "{Who} is known far and wide for its {product}.",
                "{Whose} {product} are known in the whole country.",
                "Most visitors come to buy the {product} that made {whom} known.",
            ),
        ),
        Ending(
            "holds {fair:a} fair every {month}.",
            (
                "Every {month}, {who} holds {fair:a} fair.",
                "{Whose} {fair} fair takes place in {month}.",
                "In {month}, crowds come to {whom} for the {fair} fair.",
            ),
        ),
        Ending(
            "is the birthplace of the {job} {person}.",
            (
                "The {job} {person} was born here.",
                "{Who} is proud of the {job} {person}, who was born here.",
                "{Whose} most famous child is the {job} {person}.",
            ),
        ),
    ),
    sections=(
        Section(
            ("Geography", "Location"),
            (
                (
                    "{Who} stands on the river {river}.",
                    "The river {river} flows through {whom}.",
                    "{Who} lies where the road crosses the river {river}.",
                ),
                (
                    "{Who} belongs to the region of {region}.",
                    "{Who} is part of {region}.",
                    "The land around {whom} is called {region}.",
                ),
            ),
            (
                "The nearest neighbour is {next_town}, {distance} kilometres away.",
                "A small stream, the {stream}, dried up long ago.",
                "The border of {next_region} is only a day's walk away.",
                "On clear days, people can see Mount {peak}.",
            ),
        ),
        Section(
            ("History",),
            (
                (
                    "{Who} was founded by {founders} in {founded}.",
                    "In {founded}, {founders} founded {whom}.",
                    "The first houses of {whom} were built by {founders}.",
                    "{Whose} founders were {founders} in search of good land.",
                ),
            ),
            (
                "{Whose} walls were built by {wall_builders}.",
                "A fire destroyed the {building} in {burned}.",
                "The {building} was rebuilt in {opened}.",
                "Traders from {next_region} brought {imports} and new ideas.",
                "The first mayor was {mayor}, {mayor_job:a}.",
            ),
        ),
        Section(
            ("Economy", "Work"),
            (
                (
                    "{Who} has always been {sort:a} town.",
                    "{Who} is still {sort:a} town today.",
                    "{Who} grew rich as {sort:a} town.",
                ),
            ),
            (
                "In the past, {old_product} were made here as well.",
                "Some {families} hundred families earn their bread with {exports}.",
                "A few people go to work in {next_town}.",
                "Shops close early on Saturdays.",
            ),
        ),
        Section(
            ("People", "Life in the town"),
            (),
            (
                "Children go to school in {school_town}.",
                "{Who} has friendly ties with the town of {twin_town}.",
                "About {thousands} thousand people live here.",
                "Once a week, a choir sings in the {building}.",
            ),
        ),
    ),
)
