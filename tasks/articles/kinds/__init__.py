"""The seven kinds of articles that the embedded sample tells."""

from tasks.articles.kinds.crafts import INSTRUMENT, SHIP
from tasks.articles.kinds.nature import ANIMAL, PLANT, RIVER
from tasks.articles.kinds.people import PERSON, TOWN

KINDS = (PERSON, TOWN, RIVER, ANIMAL, PLANT, INSTRUMENT, SHIP)
