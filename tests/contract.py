"""What every task must keep of the contract in `shared.task`, as tests: a class of them gives the fixture `case`.

class TestMyTask(TaskContract):
    @pytest.fixture(scope="class")
    def case(self):
        return Case.of(MyTask, MyTask.Arguments())
"""

import json
import math
import pickle
from argparse import ArgumentParser
from dataclasses import MISSING, dataclass, fields

import datasets
import numpy as np
import pytest
import torch

from shared.data.arguments import DataArguments, RequestArguments
from shared.data.encoding import encode
from shared.data.packing import PackedDataset
from shared.data.sequence import IGNORED
from shared.errors import UserError
from shared.generation.arguments import GenerationArguments
from shared.model.arguments import ModelArguments
from shared.runs.cli import Parser
from shared.runs.folder import Run, save_settings
from shared.task import Task
from shared.text_task import TextTask
from shared.training.arguments import TrainingArguments

LENGTH = 256  # tokens of a sequence, at most
LENGTHS = (48, 100, LENGTH)
ROWS = 8  # of each split


@dataclass(frozen=True)
class Case:
    """A task at work: its first rows, its vocabulary of at most 400 tokens if it learns one."""

    task: Task
    splits: dict[str, datasets.Dataset]

    @classmethod
    def of(cls, kind: type[Task], arguments: DataArguments) -> "Case":
        loaded = kind.load_rows(arguments)
        vocabulary = kind.build_vocabulary(arguments, None, loaded["train"], 400)
        splits = {name: rows.select(range(min(ROWS, len(rows)))) for name, rows in loaded.items()}
        return cls(kind(arguments, vocabulary), splits)

    @property
    def scored(self) -> datasets.Dataset:
        """The rows of the split that is scored."""
        return self.splits.get("test", self.splits.get("validation"))

    def sequences(self, length: int = LENGTH, training: bool = False) -> list:
        """The sequences of each scored row."""
        return [self.task.sequences(row, length, training) for row in self.scored]

    def targets(self) -> list[list[int]]:
        """A reference for each request, as ids: the learned tokens of rows, without the end."""
        learned = [list(row[0].target) for row in self.sequences() if row[0] is not None]
        return [ids[:-1] if ids[-1] == self.task.vocabulary.end else ids for ids in learned]


def falls(metrics: dict, others: dict) -> set[str]:
    """The names of numbers that are lower in `metrics` than in `others`."""
    numbers = {name for name, value in metrics.items() if isinstance(value, int | float)}
    return {name for name in numbers if metrics[name] < others[name]}


class TaskContract:
    """The tests; `case` is the task that they are about."""

    def test_it_says_what_it_is(self, case):
        task = case.task
        assert task.name.isidentifier() and task.name == task.name.lower()
        assert issubclass(task.Arguments, DataArguments) and issubclass(task.RequestArguments, RequestArguments)
        assert {*task.fixed} <= {field.name for field in fields(task.Arguments)}
        assert set(task.generation_defaults) <= {field.name for field in fields(GenerationArguments)}
        assert task.input_kind in {"text", "lines", "file"}
        assert task.line.strip() and type(task).__doc__
        assert not set(task.likelihood_metrics) & set(task.output_metrics)

    def test_its_flags_are_explained_have_defaults_and_are_nobody_elses(self, case):
        kinds = (case.task.Arguments, case.task.RequestArguments)
        own = [field for kind in kinds for field in fields(kind)]
        assert all(field.metadata.get("help", "").strip() for field in own)
        assert all(field.default is not MISSING or field.default_factory is not MISSING for field in own)
        assert isinstance(case.task.Arguments().sample, bool)
        for kind in kinds:  # argparse refuses a flag that is there twice
            assert isinstance(Parser(kind, ModelArguments, GenerationArguments, TrainingArguments), ArgumentParser)

    def test_its_rows_are_the_same_every_time(self, case):
        again = case.task.load_rows(case.task.arguments)
        assert {"train", "validation"} <= set(again) <= {"train", "validation", "test"}
        for name, rows in case.splits.items():
            assert again[name].column_names == rows.column_names == again["train"].column_names
            assert again[name].select(range(len(rows))).to_list() == rows.to_list()

    def test_its_vocabulary_comes_back_from_a_run(self, case, tmp_path):
        task = case.task
        tokens = dict(task.vocabulary.tokens)
        assert sorted(tokens.values()) == list(range(len(tokens)))
        assert task.vocabulary.end != task.vocabulary.padding
        assert all(isinstance(task.vocabulary.words(token), str) for token in tokens)
        save_settings(tmp_path, task, {})
        (tmp_path / "config.json").write_text("{}")
        opened = Run.open(str(tmp_path)).task({task.name: type(task)})
        assert opened.arguments == task.arguments
        assert dict(opened.vocabulary.tokens) == tokens
        assert (opened.vocabulary.end, opened.vocabulary.padding) == (task.vocabulary.end, task.vocabulary.padding)
        row = case.scored[0]
        assert opened.sequences(row, LENGTH, True) == task.sequences(row, LENGTH, True)

    @pytest.mark.parametrize("training", [True, False], ids=["training", "scoring"])
    @pytest.mark.parametrize("length", LENGTHS)
    def test_its_sequences_fit_and_hold_no_padding(self, case, length, training):
        vocabulary = case.task.vocabulary
        for sequences in case.sequences(length, training):
            assert sequences
            for sequence in filter(None, sequences):
                ids = [*sequence.context, *sequence.target]
                assert 1 < len(ids) == len(sequence) <= length
                assert sequence.target
                assert all(0 <= index < len(vocabulary.tokens) for index in ids)
                assert vocabulary.padding not in ids
                assert vocabulary.end not in sequence.target[:-1], "a text's own words are never control tokens"
                assert sequence.cut >= 0

    def test_it_learns_where_an_output_ends(self, case):
        for sequences in case.sequences(training=True):
            assert sequences[-1].target[-1] == case.task.vocabulary.end

    def test_what_fits_no_sequence_is_none_and_no_error(self, case):
        for sequences in case.sequences(length=8, training=True):
            assert all(sequence is None or len(sequence) <= 8 for sequence in sequences)

    def test_its_targets_are_learned_and_nothing_else(self, case):
        task = case.task
        table, counts = encode(case.scored, lambda rows: task.all_sequences(rows, LENGTH, True), "test")
        packed = PackedDataset(table, LENGTH, task.vocabulary.padding)
        rows = [packed[index] for index in range(len(packed))]
        learned = np.concatenate([row["labels"][row["labels"] != IGNORED] for row in rows])
        targets = [sequence.target for found in case.sequences(training=True) for sequence in found if sequence]
        assert sorted(learned.tolist()) == sorted(index for target in targets for index in target)
        assert counts["dropped"] == sum(None in found for found in case.sequences(training=True))

    def test_its_sequences_are_the_same_every_time_and_in_any_process(self, case):
        copied = pickle.loads(pickle.dumps(case.task))
        for row in case.scored:
            expected = case.task.sequences(row, LENGTH, True)
            assert case.task.sequences(row, LENGTH, True) == expected == copied.sequences(row, LENGTH, True)
            assert case.task.sequences(row, LENGTH, False) == copied.sequences(row, LENGTH, False)

    def test_a_prompt_is_the_context_of_its_sequence(self, case):
        """So that the decoder writes after what it has learned from."""
        for row, sequences in zip(case.task.requests(case.scored), case.sequences(), strict=False):
            if sequences[0] is not None and not sequences[0].cut:
                room = len(sequences[0].target)
                assert list(case.task.prompt(row, LENGTH, room).context) == list(sequences[0].context)

    @pytest.mark.parametrize("new_tokens", [1, 20, 10_000])
    @pytest.mark.parametrize("length", LENGTHS)
    def test_a_prompt_leaves_room(self, case, length, new_tokens):
        for row in case.task.requests(case.scored):
            prompt = case.task.prompt(row, length, new_tokens)
            assert 0 < len(prompt.context) <= max(length - new_tokens, length // 2)
            assert not prompt.target

    def test_any_ids_are_an_output(self, case, tmp_path):
        size, rng = len(case.task.vocabulary.tokens), np.random.default_rng(0)
        rows = case.task.requests(case.scored)
        drawn = [rng.integers(0, size, length).tolist() for length in range(len(rows))]  # from nothing at all on
        outputs = [case.task.decode(ids) for ids in drawn]
        assert outputs == [case.task.decode(ids) for ids in drawn]
        case.task.write_outputs(outputs, rows, tmp_path / "drawn")
        assert any((tmp_path / "drawn").iterdir())
        for row, output in zip(rows, outputs, strict=True):
            shown = case.task.show(row, output)
            assert shown is None or isinstance(shown, str)
        self.scores(case, outputs)

    def test_a_target_decodes_to_its_reference(self, case):
        task = case.task
        if not isinstance(task, TextTask):
            return
        for row, sequences in zip(case.scored, case.sequences(4096), strict=True):
            target, (_, reference) = list(sequences[0].target), task.texts(row, task.arguments)
            assert task.decode(target[:-1]).strip() == reference.strip()
            assert task.decode(target) == task.decode(target[:-1])  # the end says nothing

    def scores(self, case, outputs):
        """Of outputs for the requests of the scored split; they go to metrics.json."""
        metrics = case.task.score(outputs, case.scored, case.splits["train"])
        assert json.loads(json.dumps(metrics)) == metrics
        assert set(case.task.output_metrics) <= set(metrics)
        assert all(math.isfinite(metrics[name]) for name in case.task.output_metrics)
        return metrics

    def test_its_scores_of_outputs_are_those_it_names_and_higher_is_better(self, case):
        count = len(case.task.requests(case.scored))
        references = [case.task.decode(ids) for ids in case.targets()][:count]
        good = self.scores(case, references)
        worse = self.scores(case, [*references[1:], references[0]])
        assert set(case.task.output_metrics) <= falls(worse, good)

    def test_its_scores_of_likelihood_are_those_it_names_and_lower_is_better(self, case):
        tokens = sum(len(sequence.target) for found in case.sequences() for sequence in found if sequence)
        given = tokens, case.scored, case.splits["train"]
        more, less = (case.task.score_likelihood(nats * tokens, *given) for nats in (3.0, 1.5))
        assert falls(less, more) == set(case.task.likelihood_metrics)
        report = case.task.report({"loss": 1.5, **less, **self.scores(case, [*map(case.task.decode, case.targets())])})
        assert report is None or report.strip()

    def test_an_input_makes_a_row(self, case, tmp_path):
        task = case.task
        if not task.needs_input:
            assert task.prompt(task.request(""), LENGTH, 1).context
        if isinstance(task, TextTask):
            row = task.requests(case.scored)[0]
            given = task.texts(row, task.arguments)[0]
            assert task.prompt(task.request(given), LENGTH, 1) == task.prompt(row, LENGTH, 1)
            assert isinstance(task.show(task.request(given), "written"), str)
        if task.input_kind == "file":  # what it has written it can be given
            outputs = [task.decode(ids) for ids in case.targets()][:1]
            task.write_outputs(outputs, task.requests(case.scored)[:1], tmp_path / "written")
            file = next((tmp_path / "written").glob("*.mid"))
            if task.sliding:
                assert len(task.prompt(task.request(str(file)), LENGTH, 1)) > 1

    def test_its_constraint_allows_what_its_rows_hold(self, case):
        constraint = case.task.constraint()
        if constraint is None:
            return
        prompts = [case.task.prompt(row, LENGTH, 1).context for row in case.task.requests(case.scored)]
        targets = case.targets()[: len(prompts)]
        state = constraint.new_state(len(prompts), "cpu")
        places = {name: tensor.data_ptr() for name, tensor in state.items()}
        assert all(len(tensor) == len(prompts) for tensor in state.values())
        for slot, prompt in enumerate(prompts):
            constraint.begin(state, slot, prompt, LENGTH)
        for tokens in zip(*targets, strict=False):
            allowed = constraint.allowed(state)
            assert allowed.shape == (len(prompts), len(case.task.vocabulary.tokens)) and allowed.dtype == torch.bool
            assert allowed[range(len(prompts)), tokens].all()
            constraint.advance(state, torch.tensor(tokens))
        assert places == {name: tensor.data_ptr() for name, tensor in state.items()}

    def test_its_augmentation_keeps_lengths_and_follows_its_seed(self, case):
        if case.task.augment is None:
            return
        for sequences in case.sequences(training=True):
            ids = np.array([*sequences[0].context, *sequences[0].target])
            drawn = [case.task.augment(ids, np.random.default_rng(seed)) for seed in (1, 1)]
            assert all(len(one) == len(ids) and max(one) < len(case.task.vocabulary.tokens) for one in drawn)
            assert np.array_equal(*drawn)

    def test_what_it_cannot_read_is_one_line(self, case, tmp_path):
        """Each argument that names a file or a folder, as all of them are called; and rows of other columns."""
        other = tmp_path / "other.jsonl"
        other.write_text('{"nothing that is known": 1}\n')
        for field in fields(case.task.Arguments):
            if field.name.endswith(("_file", "_dir")):
                for path in (str(tmp_path / "nowhere.jsonl"), str(other)):
                    given = {field.name: [path] if "list" in str(field.type) else path}
                    with pytest.raises(UserError) as caught:
                        case.task.load_rows(case.task.Arguments(**given))
                    assert "\n" not in str(caught.value) and path in str(caught.value)
