"""The seven kinds of articles that the embedded sample tells."""

from tasks.summarization.articles.crafts import INSTRUMENT, SHIP
from tasks.summarization.articles.nature import ANIMAL, PLANT, RIVER
from tasks.summarization.articles.people import PERSON, TOWN

KINDS = (PERSON, TOWN, RIVER, ANIMAL, PLANT, INSTRUMENT, SHIP)
