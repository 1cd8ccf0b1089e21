"""Likelihood and generation over a split, exact under any batch size and number of processes."""

from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from datasets import Dataset
from torch.utils.data import DataLoader
from tqdm import tqdm

from shared.data.packing import PackedDataset, collate
from shared.files import atomic_directory
from shared.generation.arguments import GenerationArguments
from shared.generation.candidates import generate_best
from shared.generation.ensemble import Ensemble
from shared.model.decoder import Decoder
from shared.task import Row, Task
from shared.writing import Constraint


@torch.no_grad()
def likelihood(
    decoder: Decoder | Ensemble, packed: PackedDataset, batch_size: int, accelerator: Accelerator
) -> tuple[float, int]:
    """Total negative log-likelihood in nats, and the number of learned tokens it falls on."""
    loader = DataLoader(packed, batch_size=batch_size, collate_fn=collate)
    decoder.eval()
    nats, tokens = 0.0, 0.0
    # Whole batches go round-robin to the processes: unlike a padded sampler, no row is counted twice.
    for index, batch in enumerate(
        tqdm(loader, desc="likelihood", disable=not accelerator.is_main_process, leave=False)
    ):
        if index % accelerator.num_processes == accelerator.process_index:
            here = {name: tensor.to(accelerator.device) for name, tensor in batch.items()}
            with accelerator.autocast():
                nats += decoder(**here, num_items_in_batch=1).loss.item()  # the sum, not the mean
            tokens += len(batch["target_positions"])
    nats, tokens = _over_processes(nats, tokens)
    return nats, int(tokens)


def _over_processes(*numbers: float) -> tuple[float, ...]:
    """The sum of each number over all processes."""
    return tuple(map(sum, zip(*gather_object([numbers]), strict=True)))


def outputs_for(
    decoder: Decoder | Ensemble,
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
            rows=[rows[index] for index in mine],
        )
    gathered = dict(gather_object(list(zip(mine, written, strict=True))))
    return [task.decode(gathered[index]) for index in range(len(prompts))]


def evaluate(
    decoder: Decoder | Ensemble,
    task: Task,
    rows: Dataset,
    packed: PackedDataset,
    generation: GenerationArguments | None,
    *,
    training_rows: Dataset | None,
    batch_size: int,
    max_length: int,
    seed: int,
    accelerator: Accelerator,
    samples: Path | None = None,
) -> dict[str, Any]:
    """Every metric of `rows`: the likelihood and, with `generation`, the scores of what the decoder writes.

    `packed` are the same rows; `training_rows` are what some metrics compare with. The outputs go to the folder
    `samples`, where one is given, and the task's report to `scores.md` there.
    """
    nats, tokens = likelihood(decoder, packed, batch_size, accelerator)
    metrics: dict[str, Any] = {"loss": nats / tokens, **task.score_likelihood(nats, tokens, rows, training_rows)}
    if generation is None:
        return metrics
    requests, constraint = task.requests(rows), task.constraint()
    outputs = outputs_for(decoder, task, requests, generation, max_length, seed, accelerator, constraint)
    metrics |= task.score(outputs, rows, training_rows)
    if constraint:
        constraint.removed, written = _over_processes(constraint.removed, constraint.tokens)
        constraint.tokens = int(written)
        metrics["removed_probability"] = constraint.removed_share
    if samples is not None and accelerator.is_main_process:
        task.write_outputs(outputs, requests, samples)
        if report := task.report(metrics):
            with atomic_directory(samples) as staging:
                (staging / "scores.md").write_text(report, encoding="utf-8")
    return metrics
