"""The summarization scores as a metric of `evaluate`: `evaluate.load("tasks/summarization/metric.py")`."""

import datasets
import evaluate

from tasks.summarization.scores import score


class SummarizationScores(evaluate.Metric):
    """`compute(predictions=…, references=…, documents=…)` gives what `tasks.summarization.scores.score` gives.

    `documents`, `bodies`, `lead_words` and `titles` are optional.
    """

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=score.__doc__,
            citation="Chin-Yew Lin. ROUGE: A Package for Automatic Evaluation of Summaries. 2004.",
            features=datasets.Features({"predictions": text, "references": text}),
        )

    def _compute(
        self,
        predictions: list[str],
        references: list[str],
        documents: list[str] | None = None,
        bodies: list[str] | None = None,
        lead_words: int | None = None,
        titles: list[str] | None = None,
    ) -> dict[str, float]:
        return score(predictions, references, documents, bodies, lead_words, titles)
