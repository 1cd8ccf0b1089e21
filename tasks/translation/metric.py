"""The translation scores as a metric of `evaluate`: `evaluate.load("tasks/translation/metric.py")`."""

import datasets
import evaluate

from tasks.translation.scores import score


class TranslationScores(evaluate.Metric):
    """`compute(predictions=…, references=…, ter=…)` gives what `tasks.translation.scores.score` gives."""

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=score.__doc__,
            citation="Matt Post. A Call for Clarity in Reporting BLEU Scores. WMT 2018.",
            features=datasets.Features({"predictions": text, "references": text}),
        )

    def _compute(self, predictions: list[str], references: list[str], ter: bool = False) -> dict[str, float | str]:
        return score(predictions, references, ter)
