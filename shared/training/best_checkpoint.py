"""What the best checkpoint is best at: any metric of the validation split, also of what the decoder writes for it."""

from transformers import IntervalStrategy

from shared.errors import UserError
from shared.task import Task
from shared.training.arguments import TrainingArguments


def resolve_best_metric(arguments: TrainingArguments, task: Task, has_validation: bool) -> None:
    """Check `metric_for_best_model` and, where it is not said, set whether more of it is better.

    Lower is better of what the likelihood is scored by (loss, perplexity, …), higher of what the outputs are scored by
    (BLEU, ROUGE, …), which is there only with `predict_with_generate`. Where there are evaluations, transformers looks
    for the metric, whatever else uses it.

    Raises:
        UserError: before any training, for a metric that will not be there.
    """
    name = arguments.metric_for_best_model
    used = arguments.load_best_model_at_end or arguments.early_stopping_patience or arguments.save_strategy == "best"
    evaluates = has_validation and arguments.eval_strategy != IntervalStrategy.NO
    if name is None or not (used or evaluates):
        return
    if not evaluates:
        raise UserError(
            f"--metric_for_best_model {name} needs a validation split and --eval_strategy epoch or steps: give both, "
            "or leave out --load_best_model_at_end and --early_stopping_patience"
        )
    lower = ("loss", *task.likelihood_metrics)
    higher = task.output_metrics if arguments.predict_with_generate else ()
    name = name.removeprefix("eval_")
    if name not in lower + higher:
        hint = "" if higher else "; with --predict_with_generate true also what the outputs are scored by"
        raise UserError(f"--metric_for_best_model {name}: choose one of {', '.join(lower + higher)}{hint}")
    if arguments.greater_is_better is None:
        arguments.greater_is_better = name in higher
