"""What this package takes from the house's other rooms; what is of music alone is in `core_music`."""

from shared.data.arguments import RequestArguments
from shared.data.sequence import TokenSequence
from shared.data.vocabulary import TextVocabulary, Vocabulary
from shared.errors import UserError, first_line
from shared.files import atomic_directory, check_writable
from shared.generation.arguments import GenerationArguments
from shared.generation.cache import KeyValueCache
from shared.generation.candidates import generate_best
from shared.generation.decode_step import DecodeStep, compute_dtype
from shared.generation.ensemble import Ensemble
from shared.generation.generate import n_best
from shared.generation.processors import MASKS, Written, active, process
from shared.hardware import BF16
from shared.model.build import load_config, load_decoder
from shared.model.decoder import Decoder
from shared.model.inspection import attention_weights, copied
from shared.model.masks import dense_mask
from shared.model.modeling_onedecoder import relative_scores
from shared.model.quantized import rounded
from shared.runs.cli import Parser, run
from shared.runs.ensemble import with_ensemble
from shared.runs.folder import SETTINGS, Run
from shared.runs.typed import check_names, check_type, settled
from shared.task import Row, Task
from shared.text_task import TextTask
from shared.writing import Constraint
from tasks import TASKS

__all__ = [
    "BF16",
    "MASKS",
    "SETTINGS",
    "TASKS",
    "Constraint",
    "DecodeStep",
    "Decoder",
    "Ensemble",
    "GenerationArguments",
    "KeyValueCache",
    "Parser",
    "RequestArguments",
    "Row",
    "Run",
    "Task",
    "TextTask",
    "TextVocabulary",
    "TokenSequence",
    "UserError",
    "Vocabulary",
    "Written",
    "active",
    "atomic_directory",
    "attention_weights",
    "check_names",
    "check_type",
    "check_writable",
    "compute_dtype",
    "copied",
    "dense_mask",
    "first_line",
    "generate_best",
    "load_config",
    "load_decoder",
    "n_best",
    "process",
    "relative_scores",
    "rounded",
    "run",
    "settled",
    "with_ensemble",
]
