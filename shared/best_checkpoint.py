"""What the best checkpoint is best at: any metric of the validation split, also of what the decoder writes for it."""

from datasets import Dataset
from transformers import IntervalStrategy, TrainingArguments

from shared.errors import UserError
from shared.task import Task


def settle_metric(arguments: TrainingArguments, task: Task, rows: Dataset | None, generates: bool) -> None:
    """Check `metric_for_best_model` and, where it is not said, set whether more of it is better.

    Less is better of what the likelihood is scored by (loss, perplexity, …), more of what the outputs are scored by
    (BLEU, ROUGE, …), which counts only if validation `generates`. UserError, before any training, for a metric that
    will not be there; the names are those of a trial on the first of the validation `rows` with an empty output.
    """
    name = arguments.metric_for_best_model
    if name is None:
        return
    if rows is None or arguments.eval_strategy == IntervalStrategy.NO:
        raise UserError(
            f"--metric_for_best_model {name} needs a validation split and --eval_strategy epoch or steps: give both, "
            "or leave out --load_best_model_at_end and --early_stopping_patience"
        )
    first = rows.select(range(1))
    less = ["loss", *task.score_likelihood(1.0, 1, first)]
    more = []
    if generates:
        scores = task.score([task.read([])] * len(task.requests(first)), first)
        more = [metric for metric, value in scores.items() if isinstance(value, float)]
    name = name.removeprefix("eval_")
    if name not in less + more:
        hint = "" if generates else "; with --predict_with_generate true also what the outputs are scored by"
        raise UserError(f"--metric_for_best_model {name}: choose one of {', '.join(less + more)}{hint}")
    if arguments.greater_is_better is None:
        arguments.greater_is_better = name in more
