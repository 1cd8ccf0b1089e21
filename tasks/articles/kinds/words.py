"""The word lists of the embedded sample: closed, so that a small model can learn every name and copy it.

A slash joins words that belong together (`painter/painting`): they are drawn as one.
"""

from itertools import product


def listed(text: str) -> list[str]:
    """The words of a text, or its phrases where commas part them."""
    return [" ".join(item.split()) for item in text.split("," if "," in text else None)]


WOMEN = listed("Mara Elsa Ada Nora Vera Tilda Rosa Hanna Livia Petra Clara Greta Marta Selma Flora Agnes")
MEN = listed("Anton Bruno Carl Edgar Felix Georg Hugo Ivan Karel Leon Martin Oscar Paul Simon Victor Walter")
# None ends in s, so that a possessive needs no rule of its own.
FAMILIES = listed(
    """
    Olding Marrow Tarn Velder Quill Hask Brandel Corvin Drake Galt Hollow Ivory Jarrow Kestrel Lorn Merrick
    Norvik Pell Rusk Thorne Ulmer Vane Wexler Yarrow Zeller Birch Calder Elder Garrow Harkin Nettle Oakley
    """
)
PEOPLE = [f"{first} {family}" for first, family in product(WOMEN + MEN, FAMILIES)]
TOWNS = listed(
    """
    Ashmere Bramwick Corriton Dunholt Eldmoor Fennick Galmere Harrowick Ivelstone Jessamer Kelborough
    Lunmarsh Marlstead Norrowby Oxmere Pellworth Quenholt Rushwell Silverwick Tolmford Umberby Varnholm
    Wexmoor Yarlow Zelwick Arnsby Burlow Crestow Dravenby Esterholt Fallowdon Grimholt Hollowick Istow
    Kestrelby Larkmoor Moorstead Nettleby Plumstow Saltmouth
    """
)
REGIONS = listed(
    """
    Velland Norria Tessary Ombria Dorvane Estmarch Halvary Jorland Kaldia Lorvia Mirelle Orsany Rovania
    Tarvia Wendmark Zorland
    """
)
# Rivers, mountains, lakes and capes.
PLACE_NAMES = listed(
    """
    Orra Tolm Vesk Arle Brune Cale Dunna Elve Finn Garra Hale Ivel Jorn Kell Lavel Murn Nessa Ombre Parl
    Quenn Rille Seva Tamm Ulva Varne Wenn Yare Zell Bela Darra Esk Fayle Gelt Hind Isna Jule Lirr Moy Sarn
    Torva
    """
)
SEAS = listed("Amber Pearl Quiet Iron Coral Northern Southern Winter Misty Golden")
CRAFTS = listed(
    """
    painter/painting poet/poem composer/opera singer/song sculptor/statue weaver/tapestry potter/vase
    architect/palace glassmaker/window dancer/ballet mapmaker/atlas gardener/park clockmaker/clock
    organist/hymn engraver/engraving storyteller/tale goldsmith/crown violinist/sonata toymaker/toy
    drummer/march
    """
)
TRADES = listed("baker miller tailor farmer teacher doctor shepherd sailor mason brewer barber innkeeper")
# The trades of other people in an article are of the same words, so that no word alone gives the answer away.
JOBS = TRADES + [craft.split("/")[0] for craft in CRAFTS]
# Ships and works of art are named alike: "the Silver Swan", "The Silver Swan".
ADJECTIVES = listed(
    """
    Silver Golden Northern Merry Proud Crimson Evening Royal Gentle Bold Lucky Restless Shining Patient Lost
    Sleeping Quiet Painted Hidden Frozen
    """
)
EMBLEMS = listed(
    """
    Heron Dolphin Star Falcon Swallow Lion Queen Arrow Crown Rose Pilgrim Swan Mermaid Thistle Fortune Comet
    Harp Garden Lantern Orchard Mirror Journey Morning Shepherd
    """
)
WORKS = [f"The {adjective} {emblem}" for adjective, emblem in product(ADJECTIVES, EMBLEMS)]
AWARDS = [
    f"{first} {second}"
    for first, second in product(listed("Golden Royal Crystal Northern"), listed("Feather Laurel Ring Medal Wheel"))
]
PASTIMES = listed(
    """
    drawing maps, climbing trees, fishing, skating, flying kites, reading, singing, collecting shells,
    swimming, carving wood, catching beetles, baking
    """
)
PETS = listed("bees goats pigeons hens rabbits cats geese ducks ponies doves")
TEMPERS = listed("cheerful quiet stubborn generous patient gloomy witty shy restless modest")
NUMBERS = listed("three four five six seven eight nine ten eleven twelve")
LENGTHS = listed("40 55 60 75 80 90 110 120 140 150 160 180 210 230 250 280 310 340 360 420")
TOWN_QUALIFIERS = listed("Upper Lower Old New Little Great North South East West High Far")
TOWN_SORTS = listed(
    """
    market mining fishing weaving farming brewing sheep timber wine salt iron orchard harbour
    """
)
FOUNDERS = listed(
    """
    monks miners settlers soldiers shepherds fishermen merchants weavers sailors pilgrims farmers potters
    """
)
PRODUCTS = listed(
    """
    bells ribbons kites pears cheeses candles clocks lanterns carpets roses gloves hats mirrors plums dolls
    knives
    """
)
BUILDINGS = listed("town hall, old mill, church, granary, theatre, library, school, bath house")
FAIRS = listed("horse wool book flower apple kite puppet honey lantern cattle")
MONTHS = listed("January February March April May June July August September October November December")
# The month in which a plant blooms, and the later one in which its seeds are ripe.
SEASONS = listed(
    """
    March/June March/July April/July April/August April/September May/August May/September June/August
    June/September June/October July/September July/October
    """
)
RIVER_QUALIFIERS = listed("Black White Red Green Little Great Old Cold Silver Stony Crooked Wild")
FISH = listed("trout salmon pike perch carp bream tench roach grayling barbel chub dace char sturgeon")
BIRDS = listed("herons kingfishers storks swans dippers cranes ospreys gulls")
# Animals, plants and instruments have such a word in front: "the velvet fox", "the king's bellwort".
VARIETIES = listed(
    """
    lantern ribbon velvet thunder feather candle silk lace bell willow moon shadow paper thimble winter pepper
    saddle button king's queen's bishop's pilgrim's sailor's drummer's
    """
)
ANIMALS = listed(
    """
    fox mouse marten badger squirrel shrew vole hedgehog weasel polecat stoat hamster lemming marmot genet
    possum ferret hare mole otter
    """
)
HABITS = listed(
    """
    nocturnal solitary playful timid curious silent sociable gentle sleepy noisy clever cautious quick patient
    """
)
HABITATS = listed(
    """
    marshes, pine forests, dry hills, river valleys, salt meadows, birch woods, reed beds, orchards, caves,
    gorges, oak groves, dunes, swamps, bamboo thickets
    """
)
FOODS = listed("berries beetles snails acorns roots moths seeds mushrooms worms crickets nuts spiders")
MARKS = listed(
    """
    long tail, striped ears, golden eyes, white paws, silver whiskers, curly fur, bushy eyebrows, flat nose,
    sharp claws
    """
)
TRAITS = [*MARKS, "loud whistle", "deep voice", "sweet smell"]
PREDATORS = listed("eagle owl wolf lynx hawk falcon buzzard viper")
PLANTS = listed(
    """
    bellwort dragonleaf sunweed foamcup starcup lampwort marshbell cloudwort candlecup ravenleaf snowbell
    hookweed mintwort goosecup pearlbell wolfleaf amberweed ropeweed mothbane lacebell
    """
)
PLANT_SORTS = listed(
    """
    woody herb, evergreen herb, thorny shrub, woody shrub, evergreen shrub, climbing plant, creeping plant
    """
)
COLOURS = listed("white yellow blue red purple pink orange violet crimson cream")
SHAPES = listed("round narrow heart-shaped toothed feathery pointed oval hairy")
PLACES = listed(
    """
    damp walls, sunny slopes, river banks, sand dunes, old ruins, chalk cliffs, sandy soil, dry heaths, rocky
    ledges, fallen trees, bare hilltops, steep banks
    """
)
PLANT_PARTS = listed("leaves roots seeds petals stems berries")
PLANT_GOODS = listed(
    """
    soap, tea, ink, glue, dye, medicine, cough syrup, vinegar, perfume, wine, beer, ointment
    """
)
INSTRUMENTS = listed(
    """
    tavra orlin mirelo dulzet bandelo sarrik pifera zambor violar trombel kettora fluvio timbra gallora
    viellan calivo lyrette tulumbo rondel quinton
    """
)
# How an instrument sounds, and how it is made to.
SOUNDS = listed(
    """
    string/plucked with the fingers, string/played with a small bow, wind/blown through a reed, wind/blown
    from the side, percussion/struck with two sticks, percussion/beaten with the hands, keyboard/played with
    both hands, string/struck with soft hammers
    """
)
MATERIALS = listed(
    """
    maple wood, copper, horn, bamboo, brass, walnut, pine, ivory, clay, silver, oak, bone, leather, ebony
    """
)
OCCASIONS = listed(
    """
    weddings, funerals, harvest feasts, fairs, carnivals, processions, birthdays, coronations, village dances,
    christenings
    """
)
MUSIC = listed("opera song sonata serenade march ballet hymn symphony cantata waltz")
TONES = listed("soft bright hoarse sweet dark thin warm nasal")
LIVESTOCK = listed("hens geese ducks rabbits goats pigs")
RIGS = listed("schooner brig cutter sloop ketch barque yawl lugger clipper brigantine packet collier")
CARGOES = listed(
    """
    timber wool salt tea coal grain copper silk wine sugar marble cotton spices coffee furs pepper
    """
)
