"""The README of a run's folder: what it is, how it was made, how it scores, how to use it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.files import atomic_directory
from shared.runs.folder import CARD as FILE
from shared.tables import table
from shared.task import Task

CARD = """---
library_name: transformers
pipeline_tag: text-generation
tags: [gpt2, {task}]
---

# A GPT-2 decoder for {task}

{parameters}The line it was trained on:

    {line}

## Use

    python recipes/generate.py FOLDER …
    python recipes/evaluate.py FOLDER

The weights load with `transformers.AutoModelForCausalLM.from_pretrained(FOLDER)`.{caveats}

## Scores

{scores}

## Training

```json
{settings}
```
"""


def model_card(task: Task, settings: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """Markdown with the front matter of the hub's model cards."""
    model = settings["model"]
    own = [f"the {model['mask']} mask"] * (model["mask"] != "causal")
    own += ["relative attention"] * bool(model["relative_attention"])
    own += ["positions that repeat"] * bool(model["position_period"])
    own += ["copy attention"] * bool(model["copy_attention"])
    caveats = (
        f" Plain GPT-2 does not know {' or '.join(own)}: the run comes with the file `modeling_onedecoder.py`, so add "
        "`trust_remote_code=True` (to a tokenizer's `from_pretrained`, too)."
    ) * bool(own)
    return CARD.format(
        task=task.name,
        parameters=f"{metrics['parameters']:,} parameters. " if "parameters" in metrics else "",
        line=task.line,
        caveats=caveats,
        scores=score_table(metrics, markdown=True),
        settings=json.dumps({"model": settings["model"], "generation": settings["generation"]}, indent=2),
    )


def score_table(metrics: Mapping[str, Any], markdown: bool = False) -> str:
    """The scores of each split, one a line."""
    rows = [
        {"split": split, "score": name, "value": f"{value:,.4f}"}
        for split, scores in metrics.items()
        for name, value in (scores.items() if isinstance(scores, dict) and split != "train" else ())
        if isinstance(value, int | float)
    ]
    return table(["split", "score", "value"], rows, markdown)


def write_card(folder: Path, card: str) -> None:
    with atomic_directory(folder) as staging:
        (staging / FILE).write_text(card, encoding="utf-8")
