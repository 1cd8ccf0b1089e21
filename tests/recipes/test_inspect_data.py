"""The data that a decoder is fed, shown: what is printed is what is packed."""

import re

import numpy as np
import pytest

from onedecoder.naming import token_names
from recipes.inspect_data import main
from shared.errors import UserError
from shared.model.start import start_vocabulary
from shared.runs.flags import parse
from shared.runs.pipeline import load_splits, pack
from tasks.translation import Translation

FLAGS = ["--max_train_samples=12", "--max_length=64"]


def test_what_is_printed_is_what_is_packed(python):
    finished = python("inspect_data", "translation", *FLAGS, "--show_rows=2")
    assert finished.returncode == 0, finished.stderr
    assert "0 dropped" in finished.stderr and "0 sources cut" in finished.stderr
    assert max(map(len, finished.stdout.splitlines())) <= 100

    data, model, _, training = parse(Translation, FLAGS)
    rows = load_splits(Translation, data, training.seed)["train"]
    vocabulary = start_vocabulary(Translation, data, rows, model)
    packed = pack(Translation(data, vocabulary), rows, model, "train", True, training.seed)
    names = token_names(vocabulary, len(vocabulary.tokens))
    printed = re.sub(r"\n {13}", " ", finished.stdout)  # wrapped lines are one
    found = re.findall(r"  (\d+)-(\d+), positions (\d+)-(\d+)\n    context  (.*)\n    target   (.*)", printed)
    expected = []
    for index in range(min(2, len(packed))):
        begin = 0
        for sequence in packed.rows[index]:
            length, context = int(packed.lengths[sequence]), int(packed.context[sequence])
            tokens = [names[token] for token in packed[index]["input_ids"][begin : begin + length]]
            places = (str(begin), str(begin + length - 1), "0", str(length - 1))
            expected.append((*places, " ".join(tokens[:context]), " ".join(tokens[context:])))
            begin += length
    assert found == expected and len(found) > 1
    assert all(source.endswith("<|to-de|>") and target.endswith("<|endoftext|>") for *_, source, target in found)

    lengths = re.search(r"^whole +(.*)$", printed, re.MULTILINE)[1].split()
    assert lengths == [f"{value:.0f}" for value in np.percentile(packed.lengths, (0, 5, 25, 50, 75, 95, 100))]
    padding = 100 * (1 - packed.tokens / (len(packed) * packed.pack_length))
    assert f"{packed.tokens / len(packed):.1f} tokens a row, {padding:.2f} % padding" in printed


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["cooking"], "no task 'cooking'"),
        (["translation", "--show_rows=-1"], "--show_rows -1: give 0 or more"),
        (["translation", *FLAGS, "--split=dev"], "--split dev: the data have train"),
    ],
)
def test_what_cannot_be_shown_is_said(flags, message):
    with pytest.raises(UserError, match=message):
        main(flags)
