"""The benchmark, launched with the smallest numbers; and that what it compares is alike."""

import json
from dataclasses import asdict, replace

import pytest
import torch

from recipes.benchmark import main
from recipes.benchmarks import measuring
from recipes.benchmarks.generation import Generation, GenerationCases, beams, generation_results
from recipes.benchmarks.measuring import (
    CONTINUOUS,
    CTRANSLATE2,
    EIGHT_BITS,
    OURS,
    THEIRS,
    Stopwatch,
    numbered,
    plain_gpt2,
    random_rows,
)
from recipes.benchmarks.theirs import transformers_generate
from recipes.benchmarks.training import Training
from recipes.benchmarks.training_cases import (
    TrainingCases,
    events_training,
    pairs_training,
    small_training,
    text_training,
    training_results,
)
from shared.data.sequence import IGNORED
from shared.errors import UserError
from shared.generation.arguments import GenerationArguments
from shared.generation.generate import generate
from shared.kernels.cpp import has_compiler
from shared.model.build import new_decoder
from shared.model.flops import training_flops_per_token
from shared.runs.folder import save_settings
from tasks.translation.task import Translation, TranslationArguments

CPU = torch.device("cpu")
ANIMALS = {"dog": "Hund", "cat": "Kater", "fox": "Fuchs", "owl": "Uhu", "rat": "Ratz", "hen": "Hahn", "pig": "Eber"}


@pytest.fixture
def pairs(write):
    rows = [
        {"en": f"The {a} sees the {b}" + " again" * (i % 5), "de": f"Der {ANIMALS[a]} sieht den {ANIMALS[b]}"}
        for i, a in enumerate(ANIMALS)
        for b in ANIMALS
    ]
    return write("pairs.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def cases(pairs):
    return TrainingCases(
        **{"size": "tiny", "batch_size": 2, "length": 16, "steps": 2, "warmup_steps": 1},
        **{"pairs": [pairs], "pairs_vocab_size": 300, "pairs_row_length": 64, "pairs_batch_size": 2},
    )


def test_another_program_that_fails_has_a_line_that_says_so(monkeypatch):
    def fails(*given, **settings):
        raise RuntimeError("sizes do not fit\nin detail")

    monkeypatch.setattr("recipes.benchmarks.generation.transformers_generate", fails)
    cases = GenerationCases(
        generation_size="nano", generation_vocab_size=50, single_tokens=3, prompts=2, batch_tokens=2
    )
    systems = {result["system"]: result for result in generation_results(cases, (OURS, THEIRS), CPU)}
    assert systems[THEIRS]["note"] == "failed: sizes do not fit"
    assert "ratio" not in systems[THEIRS]
    assert systems[OURS]["ratio"] == 1
    monkeypatch.setattr("recipes.benchmarks.generation.generate", fails)
    with pytest.raises(RuntimeError, match="sizes do not fit"):
        list(generation_results(cases, (OURS, THEIRS), CPU))


def test_both_kinds_are_measured_line_by_line(python, pairs, tmp_path):
    quick = "--size tiny --batch_size 2 --length 16 --steps 2 --warmup_steps 1 --pairs_vocab_size 300 --prompts 2 "
    quick += (
        "--single_tokens 3 --batch_tokens 2 --calls 1 --generation_vocab_size 50 --music_size tiny --music_tokens 3"
    )
    table = tmp_path / "table.json"
    finished = python(
        "benchmark", "train", "generate", "--device", "cpu", *quick.split(), "--pairs", pairs, "--json", table
    )
    assert finished.returncode == 0, finished.stderr
    results = json.loads(table.read_text())["results"]
    systems = [result["system"] for result in results]
    compiled = [measuring.COMPILED_STEP, measuring.COMPILED_8_BITS] if has_compiler() else []
    forms, batch = [EIGHT_BITS, *compiled], [OURS, THEIRS, CONTINUOUS, CTRANSLATE2]
    assert systems == [*[OURS, THEIRS] * 3, *forms, CTRANSLATE2, *batch, OURS, *forms]
    assert len({result["case"] for result in results}) == 5
    lines = finished.stdout.splitlines()
    for line, result in zip(lines[1:], results, strict=False):
        assert line.startswith(f"case {result['case']}  system {result['system']}  tokens_per_second ")
    assert len(lines) == 1 + len(results) + 2 + len(results)  # the machine, each line, a gap and the table
    for case in {result["case"] for result in results}:
        ours, *others = (result for result in results if result["case"] == case)
        assert others and ours["system"] == OURS and ours["ratio"] == 1
        for other in others:
            assert other["ratio"] == pytest.approx(ours["tokens_per_second"] / other["tokens_per_second"])
    assert all(result["tokens_per_second"] > 0 and result["first_call_s"] > 0 for result in results)
    assert all("mfu" in result for result in results[:4])
    assert all("first_token_s" in result for result in results[4:])
    assert all(("bandwidth" in result) == ("8 bits" not in result["system"]) for result in results[4:])
    exact = {THEIRS, CONTINUOUS, CTRANSLATE2, measuring.COMPILED_STEP}
    assert {result["equal_outputs"] for result in results[4:] if result["system"] in exact} == {1.0}


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["fly"], "'fly' is no benchmark: give train, generate, start, or none for all"),
        (["--device", "tpu"], "--device tpu: give cpu"),
        (["--size", "huge"], "--size huge: choose one of nano, tiny"),
        (["--steps", "0"], "--steps is 0: give 1 or more"),
        (["generate", "--calls", "0"], "--calls is 0: give 1 or more"),
        (["generate", "--generation_vocab_size", "1"], "--generation_vocab_size is 1: give 2 or more"),
        (["generate", "--num_beams", "99999999"], "--num_beams is 99999999: give up to 1000"),
        (["generate", "--model", "nowhere"], "there is no run in nowhere"),
    ],
)
def test_what_cannot_be_measured_is_said_in_one_line(flags, said):
    with pytest.raises(UserError) as caught:
        main(flags)
    assert str(caught.value).startswith(said)


CASES = {
    "text": lambda cases: text_training(cases, cases.size),
    "pairs": pairs_training,
    "small": lambda cases: replace(small_training(cases, "n_layer=1,n_embd=32"), batch_size=2),
    "events": lambda cases: replace(events_training(cases, "tiny"), overrides="n_layer=1"),
}


@pytest.mark.parametrize("make", CASES.values(), ids=CASES)
def test_both_trainers_see_the_same_tokens_in_the_same_step(cases, make, tmp_path):
    training = make(cases)
    arguments = training.arguments(str(tmp_path), CPU, 1)
    ours, theirs = (training.trainer(system, arguments).get_train_dataloader() for system in (OURS, THEIRS))
    sizes = []
    for packed, plain in zip(ours, theirs, strict=True):
        seen = plain["input_ids"][plain["attention_mask"] > 0] if "attention_mask" in plain else plain["input_ids"]
        real = packed["input_ids"][packed["input_ids"] != training.task.vocabulary.padding]
        assert packed["tokens"] == len(real)
        assert sorted(seen.flatten().tolist()) == sorted(real.tolist())
        assert (plain["labels"][..., 1:] != IGNORED).sum() == len(packed["target_positions"])
        sizes.append(plain["input_ids"].numel())
    assert len(sizes) >= 2
    padded = max(sizes) > training.batch_size * training.rows.pack_length
    assert padded == (make in (CASES["pairs"], CASES["small"]))


@pytest.mark.parametrize("make", [CASES["pairs"], CASES["small"]], ids=["adamw", "muon"])
def test_both_trainers_start_with_the_same_weights_and_loss(cases, make, tmp_path):
    training = make(cases)
    arguments = training.arguments(str(tmp_path), CPU, 1)
    losses = []
    for system in (OURS, THEIRS):
        trainer = training.trainer(system, arguments)
        trainer.train()
        losses.append(trainer.state.log_history[-1]["train_loss"])  # the mean of three steps
    assert losses[0] == pytest.approx(losses[1], abs=2e-4)


@pytest.fixture
def eight_seconds(monkeypatch):
    """Trainings that take 8 seconds at 1 GFLOP/s, where a batch fits in `need` parts; returns what was tried."""
    tried = []

    def train(need):
        def train(self, system, device, accumulated):
            tried.append(accumulated)
            if accumulated < need:
                raise torch.OutOfMemoryError
            stopwatch = Stopwatch(1, CPU)
            stopwatch.first, stopwatch.seconds = 1.0, 8.0
            return stopwatch

        monkeypatch.setattr(Training, "train", train)
        monkeypatch.setattr("recipes.benchmarks.training.matmul_peak", lambda _: 1e9)
        return tried

    return train


def test_a_batch_that_does_not_fit_is_halved_and_accumulated(cases, eight_seconds):
    training = replace(text_training(cases, cases.size), batch_size=4)
    tried = eight_seconds(need=4)
    result = training.result(THEIRS, CPU)
    assert tried == [1, 2, 4]
    assert result["note"] == "4 × 1 rows a step"
    assert result["tokens_per_second"] == 4 * 16 * 2 / 8  # rows, tokens in each, steps, seconds
    decoder = new_decoder("tiny", numbered(50257), 16)
    assert result["mfu"] == pytest.approx(16 * training_flops_per_token(decoder, 16) / 1e9)
    with pytest.raises(torch.OutOfMemoryError):
        replace(training, batch_size=2).result(THEIRS, CPU)


def test_halved_batches_make_up_the_same_step(cases, tmp_path):
    arguments = text_training(cases, cases.size).arguments(str(tmp_path), CPU, 2)
    assert (arguments.per_device_train_batch_size, arguments.gradient_accumulation_steps) == (1, 2)


def test_padding_counts_for_nothing(cases, eight_seconds):
    eight_seconds(need=1)
    training = pairs_training(cases)
    rate = training.result(OURS, CPU)["tokens_per_second"]
    rows = [training.rows[index] for index in range(len(training.rows))]
    tokens = sum((row["input_ids"] != training.task.vocabulary.padding).sum() for row in rows)
    assert rate == pytest.approx(tokens / len(rows) * 2 * 2 / 8)
    assert rate < 64 * 2 * 2 / 8


def test_transformers_own_model_shares_the_decoders_weights(new_decoder):
    decoder = new_decoder()
    model = plain_gpt2(decoder)
    assert model.lm_head.weight is model.transformer.wte.weight
    mine = {name: weight.data_ptr() for name, weight in decoder.named_parameters()}
    assert mine == {name: weight.data_ptr() for name, weight in model.named_parameters()}
    assert all(weight.requires_grad for weight in model.parameters())


@pytest.mark.parametrize("settings", [{}, {"num_beams": 3, "length_penalty": 0.6}], ids=["greedy", "beams"])
@pytest.mark.parametrize("ending", [False, True], ids=["endless", "ending"])
def test_transformers_writes_what_ours_does(new_decoder, settings, ending):
    decoder = new_decoder()
    prompts = [row[:n] for row, n in zip(random_rows(5, 9, 24), (3, 9, 5, 1, 9), strict=True)]
    arguments = GenerationArguments(max_new_tokens=12, generation_batch_size=6, **settings)
    endless = generate(decoder, prompts, arguments, numbered(24, end=-1))
    assert {len(ids) for ids in endless} == {12}
    vocabulary = numbered(24, end=endless[0][3] if ending else -1)
    ours = generate(decoder, prompts, arguments, vocabulary)
    assert transformers_generate(plain_gpt2(decoder), prompts, arguments, vocabulary) == ours
    assert (ours != endless) == ending


@pytest.mark.parametrize("more", [{}, {"relative_attention": 8, "copy_attention": 4}], ids=["plain", "more"])
def test_beams_are_compared_on_a_runs_test_split(pairs, tmp_path, more):
    arguments = TranslationArguments(train_file=[pairs], test_file=[pairs])
    rows = Translation.load_rows(arguments)["train"]
    task = Translation(arguments, Translation.build_vocabulary(arguments, None, rows, 300))
    decoder = new_decoder("tiny", task.vocabulary, 48, **more)
    for block in decoder.blocks if more else ():
        torch.nn.init.normal_(block.attn.relative)  # they start at 0, which changes nothing
    decoder.save_pretrained(tmp_path / "run")
    generation = asdict(GenerationArguments(max_new_tokens=3, do_sample=True))
    save_settings(tmp_path / "run", task, {"model": {"max_length": 48}, "generation": generation})
    cases = GenerationCases(model=str(tmp_path / "run"), sentences=5, sentence_batch=2, num_beams=2, calls=1)
    case = beams(cases, cases.model, CPU, torch.float32)
    asked = case.settings.num_beams, case.settings.do_sample, case.settings.generation_batch_size
    assert (len(case.prompts), *asked) == (5, 2, False, 4)
    ours, theirs = case.results((OURS, THEIRS))
    assert (theirs["equal_outputs"], "note" in theirs) == (1.0, bool(more))
    assert "equal_outputs" not in ours and "bandwidth" not in ours


def test_the_share_of_the_bandwidth_is_that_of_what_must_be_read(new_decoder, monkeypatch):
    monkeypatch.setattr("recipes.benchmarks.generation.bandwidth", lambda _: 1e6)
    decoder = new_decoder(context=8)
    settings = GenerationArguments(max_new_tokens=6)
    case = Generation("", decoder, [[1, 2, 3, 4]] * 2, settings, numbered(24, end=-1), 1)
    # Lengths 4 5 6 7 8 8; keys and values of 2 layers, 32 wide, in 2 rows; 4 bytes each.
    read = 6 * decoder.parameters_without_positions + 38 * 2 * 2 * 32 * 2
    assert case.least_seconds() == pytest.approx(4 * read / 1e6)


def test_what_was_not_written_is_not_counted(new_decoder, monkeypatch):
    monkeypatch.setattr(Generation, "write", lambda *_, **__: [[1, 2, 3]])
    settings = GenerationArguments(max_new_tokens=6)
    case = Generation("", new_decoder(), [[1]], settings, numbered(24, end=-1), 1)
    monkeypatch.setattr("recipes.benchmarks.generation.timed", lambda work, _: (2.0, work()))
    result, _ = case.result(OURS, case.decoder)
    assert result["note"] == "wrote 3 of 6: the context ended"
    assert result["tokens_per_second"] == 1.5
    assert result["bandwidth"] == case.least_seconds() / 2 / 2


def test_a_small_decoder_has_the_shape_that_is_asked_for(cases):
    case = small_training(replace(cases, pairs_size="mini"), "n_layer=1,n_embd=32,n_head=2")
    assert (case.new_decoder().config.n_layer, case.optim) == (1, "muon") and "0.0 M" in case.name


def test_music_is_trained_with_relative_attention_where_there_is_some(cases, tmp_path):
    case = CASES["events"](cases)
    arguments = case.arguments(str(tmp_path), CPU, 1)
    ours, theirs = (case.trainer(system, arguments).model for system in (OURS, THEIRS))
    assert ours.config.relative_attention == 1024 and not hasattr(theirs.transformer.h[0].attn, "relative")


def test_nothing_but_what_is_asked_for_is_trained(cases):
    results = list(training_results(replace(cases, size=None), (OURS, THEIRS), CPU))
    assert [result["system"] for result in results] == [OURS, THEIRS]
    assert {result["case"] for result in results} == {"train tiny on pairs, 2 rows of 64"}
