"""Likelihood and generation over a split, exact under any batch size and number of processes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from datasets import Dataset, Features, List, Value
from torch.utils.data import DataLoader
from tqdm import tqdm

from shared.constraint import Constraint
from shared.decoder import Decoder
from shared.errors import UserError
from shared.files import written_whole
from shared.generation import GenerationArguments
from shared.packing import PackedDataset, collate
from shared.reranking import generate_best
from shared.sequence import Sequence
from shared.task import Row, Task

BF16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)

LINES = Features(
    {
        "input_ids": List(Value("int32")),
        **{name: Value("int32") for name in ("context", "length", "dropped", "cut")},
    }
)


def encode(task: Task, rows: Dataset, max_length: int, training: bool, split: str) -> tuple[Dataset, dict[str, int]]:
    """All lines of `rows`, as an Arrow table, and how many were dropped or had their source cut.

    Columns: `input_ids`, `context` (tokens before the target) and `length`.
    """

    def lines(batch: dict[str, list]) -> dict[str, list]:
        columns = {"input_ids": [], "context": [], "length": [], "dropped": [], "cut": []}
        for values in zip(*batch.values(), strict=True):
            for found in task.sequences(dict(zip(batch, values, strict=True)), max_length, training):
                line = found or Sequence([])  # an empty line marks one that did not fit
                columns["input_ids"].append([*line.context, *line.target])
                columns["context"].append(len(line.context))
                columns["length"].append(len(line))
                columns["dropped"].append(int(found is None))
                columns["cut"].append(int(line.cut > 0))
        return columns

    table = rows.map(
        lines,
        batched=True,
        batch_size=100,
        remove_columns=rows.column_names,
        features=LINES,
        load_from_cache_file=False,  # the cache's key names imported functions, but does not hash their code
        num_proc=task.arguments.preprocessing_num_workers,
        desc=f"tokenising {split}",
    )
    counts = {name: int(table.data.column(name).to_numpy().sum()) for name in ("dropped", "cut")}
    if counts["dropped"]:
        table = table.select(np.flatnonzero(table.data.column("length").to_numpy())).flatten_indices()
    if not len(table):
        raise UserError(f"none of the {len(rows)} rows of {split} fits into --max_length {max_length}: raise it")
    return table.remove_columns(["dropped", "cut"]), counts


@torch.no_grad()
def likelihood(decoder: Decoder, packed: PackedDataset, batch_size: int, accelerator: Accelerator) -> tuple[float, int]:
    """Total negative log-likelihood in nats, and the number of learned tokens it falls on."""
    loader = DataLoader(packed, batch_size=batch_size, collate_fn=collate)
    decoder.eval()
    nats, tokens = 0.0, 0
    # Whole batches go round-robin to the processes: unlike a padded sampler, no row is counted twice.
    for index, batch in enumerate(
        tqdm(loader, desc="likelihood", disable=not accelerator.is_main_process, leave=False)
    ):
        if index % accelerator.num_processes == accelerator.process_index:
            here = {name: tensor.to(accelerator.device) for name, tensor in batch.items()}
            with accelerator.autocast():
                states = decoder.hidden_states(**decoder.inputs(**here))
                nats += decoder.loss_sum(states, here["labels"], here["learned"]).item()
            tokens += len(batch["learned"])
    return _over_processes(nats, tokens)


def _over_processes(*numbers: float) -> tuple[float, ...]:
    """The sum of each number over all processes."""
    return tuple(map(sum, zip(*gather_object([numbers]), strict=True)))


def outputs_for(
    decoder: Decoder,
    task: Task,
    rows: Dataset | list[Row],
    generation: GenerationArguments,
    max_length: int,
    seed: int,
    accelerator: Accelerator,
    constraint: Constraint | None = None,
) -> list[Any]:
    """What the decoder writes for each of `rows`, in their order, on every process."""
    prompts = [task.prompt(row, max_length, generation.max_new_tokens).context for row in rows]
    mine = range(accelerator.process_index, len(prompts), accelerator.num_processes)
    with accelerator.autocast():
        written = generate_best(
            decoder,
            task,
            [prompts[index] for index in mine],
            generation,
            streams=list(mine),
            seed=seed,
            constraint=constraint,
            progress="generating" if accelerator.is_main_process else None,
        )
    gathered = dict(gather_object(list(zip(mine, written, strict=True))))
    return [task.read(gathered[index]) for index in range(len(prompts))]


@contextmanager
def uncompiled(decoder: Decoder) -> Iterator[None]:
    """The body as it is without torch.compile, which would compile it anew for every shape met here."""
    compiled = vars(decoder).pop("hidden_states", None)
    try:
        yield
    finally:
        if compiled:
            decoder.hidden_states = compiled


def evaluate(
    decoder: Decoder,
    task: Task,
    rows: Dataset,
    packed: PackedDataset,
    generation: GenerationArguments | None,
    *,
    batch_size: int,
    max_length: int,
    seed: int,
    accelerator: Accelerator,
    samples: Path | None = None,
) -> dict[str, Any]:
    """Every metric of `rows`: the likelihood and, with `generation`, the scores of what the decoder writes.

    The outputs go to the folder `samples`, where one is given, and the task's report to `scores.md` there.
    """
    with uncompiled(decoder):
        nats, tokens = likelihood(decoder, packed, batch_size, accelerator)
        requests = task.requests(rows)
        if generation is not None:
            constraint = task.constraint(generation)
            outputs = outputs_for(decoder, task, requests, generation, max_length, seed, accelerator, constraint)
    metrics: dict[str, Any] = {"loss": nats / tokens, **task.score_likelihood(nats, tokens, rows)}
    if generation is not None:
        metrics |= task.score(outputs, rows)
        if constraint:
            removed, written = _over_processes(constraint.removed, constraint.tokens)
            metrics["removed_probability"] = removed / written
        if samples is not None and accelerator.is_main_process:
            task.write_outputs(outputs, requests, samples)
            if report := task.report(metrics):
                with written_whole(samples) as staging:
                    (staging / "scores.md").write_text(report, encoding="utf-8")
    return metrics
