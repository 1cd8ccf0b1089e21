"""All that this package takes from the house's other rooms, in one place."""

from shared.attention import dense_mask, relative_scores
from shared.cli import Parser, as_flags, run
from shared.decoder import Decoder, load_decoder
from shared.decoding import KeyValueCache, Step, compute_dtype, read_prompts
from shared.errors import UserError
from shared.evaluation import BF16
from shared.files import written_whole
from shared.generation import GenerationArguments
from shared.looking import NAME as ATTENTION_WITH_WEIGHTS
from shared.reranking import check_candidates, generate_best
from shared.runs import Run
from shared.sequence import Sequence
from shared.task import RequestArguments, Row, Task, TextTask
from shared.vocabulary import TextVocabulary, Vocabulary
from tasks import TASKS
from tasks.language_modeling import LanguageModeling

__all__ = [
    "ATTENTION_WITH_WEIGHTS",
    "BF16",
    "TASKS",
    "Decoder",
    "GenerationArguments",
    "KeyValueCache",
    "LanguageModeling",
    "Parser",
    "RequestArguments",
    "Row",
    "Run",
    "Sequence",
    "Step",
    "Task",
    "TextTask",
    "TextVocabulary",
    "UserError",
    "Vocabulary",
    "as_flags",
    "check_candidates",
    "compute_dtype",
    "dense_mask",
    "generate_best",
    "load_decoder",
    "read_prompts",
    "relative_scores",
    "run",
    "written_whole",
]
