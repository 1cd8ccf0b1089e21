"""Rivers, animals and plants."""

from tasks.articles.kinds import words
from tasks.articles.kinds.kind import Ending, Kind, Section

RIVER = Kind(
    names=(words.RIVER_QUALIFIERS, words.PLACE_NAMES),
    name="the {title}",
    short="the {title}",
    facts={
        **dict.fromkeys(("region", "next_region"), words.REGIONS),
        **dict.fromkeys(("fish", "lost_fish"), words.FISH),
        **dict.fromkeys(("mount", "next_mount", "lake"), words.PLACE_NAMES),
        **dict.fromkeys(("town", "village", "mill_town", "ferry_town"), words.TOWNS),
        **dict.fromkeys(("main_river", "side_river", "far_river"), words.PLACE_NAMES),
        "sea": words.SEAS,
        "length": words.LENGTHS,
        "birds": words.BIRDS,
        "founders": words.FOUNDERS,
        "engineer": words.PEOPLE,
        **dict.fromkeys(("steps", "years"), words.NUMBERS),
    },
    years={"flood": (1700, 1800), "bridge": (5, 60)},
    lead="The {title} is a river in {region} that is rich in {fish}. It rises on Mount {mount}, passes {town} and",
    endings=(
        Ending(
            "flows into the {sea} Sea after {length} kilometres.",
            (
                "After {length} kilometres, {who} flows into the {sea} Sea.",
                "{Who} reaches the {sea} Sea after {length} kilometres.",
                "{Who} is {length} kilometres long and ends in the {sea} Sea.",
            ),
        ),
        Ending(
            "joins the river {main_river} after {length} kilometres.",
            (
                "After {length} kilometres, {who} joins the river {main_river}.",
                "{Who} is {length} kilometres long and ends in the river {main_river}.",
                "The river {main_river} takes in {whom} after {length} kilometres.",
            ),
        ),
        Ending(
            "ends in Lake {lake} after {length} kilometres.",
            (
                "After {length} kilometres, {who} ends in Lake {lake}.",
                "{Who} is {length} kilometres long and flows into Lake {lake}.",
                "{Whose} {length} kilometres come to an end in Lake {lake}.",
            ),
        ),
    ),
    sections=(
        Section(
            ("Source", "Upper course"),
            (
                (
                    "{Who} rises on Mount {mount}.",
                    "{Whose} source is on Mount {mount}.",
                    "The spring of {whom} lies high on Mount {mount}.",
                ),
            ),
            (
                "A second spring on Mount {next_mount} is dry in summer.",
                "In its first hours, the water falls over {steps} steps of rock.",
                "The water is so cold that nobody swims here.",
                "Snow from {next_region} feeds a stream called the {side_river}.",
            ),
        ),
        Section(
            ("Towns", "People"),
            (
                (
                    "The only large town on {whose} banks is {town}.",
                    "{Who} passes the town of {town}.",
                    "The people of {town} live right beside {whom}.",
                ),
                (
                    "{Who} is a river of {region}.",
                    "{Who} crosses the fields of {region}.",
                    "{Who} gives water to all of {region}.",
                ),
            ),
            (
                "The village of {village} moved to higher ground after the flood of {flood}.",
                "In {bridge}, {engineer} built a bridge of stone.",
                "A mill in {mill_town} stands empty today.",
                "A ferry once ran to {ferry_town}, but it was slow.",
            ),
        ),
        Section(
            ("Wildlife", "Nature"),
            (
                (
                    "{Who} is rich in {fish}.",
                    "Anglers catch many {fish} in {whom}.",
                    "There are plenty of {fish} in {whose} waters.",
                ),
            ),
            (
                "The {lost_fish} died out after the flood of {flood}.",
                "In spring, {birds} nest among the reeds.",
                "Old willows grow on both sides.",
                "It has been {years} years since anyone saw an otter here.",
            ),
        ),
        Section(
            ("Mouth", "Lower course"),
            (),
            (
                "Near the end, the valley is wide and flat.",
                "Small boats carry {founders} and their goods.",
                "Here the water is brown and slow.",
                "A canal to the river {far_river} was never finished.",
            ),
        ),
    ),
)

ANIMAL = Kind(
    names=(words.VARIETIES, words.ANIMALS),
    name="the {title}",
    short="the {last}",
    facts={
        "habit": words.HABITS,
        **dict.fromkeys(("habitat", "other_habitat"), words.HABITATS),
        **dict.fromkeys(("region", "next_region"), words.REGIONS),
        **dict.fromkeys(("food", "young_food", "dislike"), words.FOODS),
        "trait": words.TRAITS,
        "mark": words.MARKS,
        "predator": words.PREDATORS,
        "finder": words.PEOPLE,
        **dict.fromkeys(("town", "zoo_town", "museum_town"), words.TOWNS),
        **dict.fromkeys(("entrances", "hectares", "young", "weeks", "guests"), words.NUMBERS),
    },
    years={"found": (1760, 1860), "protected": (40, 90)},
    lead="The {title} is {habit:a} animal that lives in the {habitat} of {region}. It feeds on {food} and",
    endings=(
        Ending(
            "is known for its {trait}.",
            (
                "{Who} is known for its {trait}.",
                "Most people know {whom} for its {trait}.",
                "Travellers tell of {whom} and its {trait}.",
            ),
        ),
        Ending(
            "has been protected since {protected}.",
            (
                "Since {protected}, {who} has been protected by law.",
                "{Who} has been protected since {protected}.",
                "Hunting {whom} has been forbidden since {protected}.",
            ),
        ),
        Ending(
            "is the emblem of {town}.",
            (
                "The town of {town} has chosen {whom} as its emblem.",
                "{Who} is the emblem of {town}.",
                "{Who} stands as an emblem over the gate of {town}.",
            ),
        ),
    ),
    sections=(
        Section(
            ("Habitat", "Range"),
            (
                (
                    "{Who} makes its home in the {habitat}.",
                    "The {habitat} are {whose} home.",
                    "{Who} lives in {habitat}, far from any road.",
                ),
                (
                    "{Who} is found only in {region}.",
                    "Outside {region}, nobody has seen a wild {last}.",
                    "In {region}, {who} can be seen all year round.",
                ),
            ),
            (
                "Attempts to settle a few pairs in {next_region} have failed.",
                "Reports of {whom} in {other_habitat} turned out to be wrong.",
                "{Whose} burrow has {entrances} entrances.",
                "Each pair needs about {hectares} hectares.",
            ),
        ),
        Section(
            ("Behaviour",),
            (
                (
                    "{Who} is {habit:a} animal.",
                    "Keepers describe {whom} as {habit:a} animal.",
                    "By nature, {who} is {habit}.",
                ),
            ),
            (
                "A litter has up to {young} young.",
                "When {predator:a} comes near, {who} stands quite still.",
                "{Whose} {mark} can hardly be seen from afar.",
                "In heavy rain, {who} stays in its burrow.",
            ),
        ),
        Section(
            ("Food", "Diet"),
            (
                (
                    "{Who} feeds on {food}.",
                    "{Whose} main food is {food}.",
                    "Most of all, {who} eats {food}.",
                ),
            ),
            (
                "The young are given {young_food} at first.",
                "Even in a hard winter, {who} never touches {dislike}.",
                "{Who} drinks only in the early morning.",
                "Before the first snow, {who} stores enough for {weeks} weeks.",
            ),
        ),
        Section(
            ("People", "Importance"),
            (),
            (
                "The traveller {finder} drew the first picture of {whom} in {found}.",
                "The zoo of {zoo_town} once had {guests} of these animals.",
                "Farmers do not mind {whom}.",
                "A stuffed {last} stands in the museum of {museum_town}.",
            ),
        ),
    ),
)

PLANT = Kind(
    names=(words.VARIETIES, words.PLANTS),
    name="the {title}",
    short="the {last}",
    facts={
        "sort": words.PLANT_SORTS,
        **dict.fromkeys(("colour", "berry_colour"), words.COLOURS),
        "shape": words.SHAPES,
        **dict.fromkeys(("place", "rare_place"), words.PLACES),
        **dict.fromkeys(("region", "next_region"), words.REGIONS),
        "month/late_month": words.SEASONS,
        "part": words.PLANT_PARTS,
        **dict.fromkeys(("good", "old_good"), words.PLANT_GOODS),
        **dict.fromkeys(("botanist", "gardener"), words.PEOPLE),
        **dict.fromkeys(("town", "garden_town"), words.TOWNS),
        **dict.fromkeys(("petals", "pots", "years"), words.NUMBERS),
        "height": words.LENGTHS,
    },
    years={"described": (1750, 1880)},
    lead="The {title} is {sort:a} with {colour} flowers that grows on {place} in {region}. It blooms in {month} and",
    endings=(
        Ending(
            "has {part} that are used to make {good}.",
            (
                "{Whose} {part} are used to make {good}.",
                "People make {good} from the {part}.",
                "For {good}, the {part} are picked and dried.",
            ),
        ),
        Ending(
            "was first described by {botanist} in {described}.",
            (
                "{Who} was first described in {described} by {botanist}.",
                "In {described}, {botanist} described {whom} for the first time.",
                "The first to describe {whom} was {botanist} in {described}.",
            ),
        ),
        Ending(
            "is the emblem of {town}.",
            (
                "{Who} is the emblem of {town}.",
                "The town of {town} has chosen {whom} as its emblem.",
                "On the flag of {town}, {who} serves as an emblem.",
            ),
        ),
    ),
    sections=(
        Section(
            ("Description", "Appearance"),
            (
                (
                    "{Who} is {sort:a}.",
                    "Botanists call {whom} {sort:a}.",
                    "In gardening books, {who} is listed as {sort:a}.",
                ),
                (
                    "{Whose} flowers are {colour}.",
                    "{Who} has {colour} flowers.",
                    "The flowers are {colour} and smell sweet.",
                ),
            ),
            (
                "The leaves are {shape} and feel like paper.",
                "The small berries are {berry_colour} when they are ripe.",
                "The stem can reach {height} centimetres.",
                "Each flower has {petals} petals.",
            ),
        ),
        Section(
            ("Distribution", "Range"),
            (
                (
                    "{Who} grows on {place}.",
                    "On {place}, {who} is a common sight.",
                    "{Who} does best on {place}.",
                ),
                (
                    "{Who} is native to {region}.",
                    "{Whose} homeland is {region}.",
                    "{Who} grows wild only in {region}.",
                ),
            ),
            (
                "A few plants were once seen on {rare_place}.",
                "Gardeners in {next_region} have tried to grow {whom} in pots.",
                "A late frost does {whom} no harm.",
                "The botanical garden in {garden_town} has {pots} plants.",
            ),
        ),
        Section(
            ("Life cycle", "Through the year"),
            (
                (
                    "{Who} blooms in {month}.",
                    "The flowers open in {month}.",
                    "In {month}, {who} is in bloom.",
                ),
            ),
            (
                "The seeds are ripe in {late_month}.",
                "Hares and voles nibble the young shoots.",
                "A single plant can live for {years} years.",
                "Bees carry the pollen from flower to flower.",
            ),
        ),
        Section(
            ("People", "Importance"),
            (),
            (
                "Long ago, {who} was mixed into {old_good}.",
                "The gardener {gardener} tried in vain to grow a larger {last}.",
                "{Who} is said to bring luck to travellers.",
                "Children like to weave {whom} into wreaths.",
            ),
        ),
    ),
)
