from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from shared.data.vocabulary import END, PADDING, TextVocabulary
from shared.errors import UserError
from shared.model.build import change_vocabulary, load_decoder, new_embeddings
from tasks.midi.vocabulary import MusicVocabulary

SEPARATORS = {"<|copy|>": "the same again:", "<|summarize|>": "In summary:"}
text = st.text() | st.lists(
    st.sampled_from([END, PADDING, "<|summarize|>", "<|copy|>", "👩‍👩‍👧", "\r\n", "\x00", "\t ", "é", "ü", "the dog"])
).map("".join)


@pytest.fixture(scope="module")
def learned(new_vocabulary):
    return new_vocabulary(separators=SEPARATORS)


@pytest.fixture(scope="module")
def gpt2(new_gpt2):
    return new_gpt2(n_layer=1, n_embd=32, n_head=2, n_positions=64)


@pytest.fixture(scope="module")
def grown(gpt2):
    """What GPT-2 becomes when it starts a new job: its old embeddings, decoder and vocabulary."""
    decoder = load_decoder(str(gpt2))
    before = decoder.transformer.wte.weight.detach().clone()
    old = TextVocabulary.load(str(gpt2))
    vocabulary = TextVocabulary(old.tokenizer, SEPARATORS)
    change_vocabulary(decoder, old, vocabulary)
    return SimpleNamespace(before=before, decoder=decoder, vocabulary=vocabulary)


def test_a_head_of_its_own_follows_the_vocabulary_too(new_decoder, new_vocabulary):
    old, new = new_vocabulary(), new_vocabulary(separators={"<|aside|>": "the same"})
    decoder = new_decoder(len(old.tokens), tie_word_embeddings=False)
    before = decoder.lm_head.weight.detach().clone()
    assert not before.equal(decoder.transformer.wte.weight)
    change_vocabulary(decoder, old, new)
    for token in old.tokens.keys() & new.tokens.keys():
        assert decoder.lm_head.weight[new.tokens[token]].equal(before[old.tokens[token]])


@given(text=text)
def test_any_text_decodes_to_itself_and_holds_no_special_token(learned, text):
    ids = learned.encode(text)
    assert learned.decode(ids) == text
    assert not {learned.tokens[token] for token in [END, PADDING, *SEPARATORS]} & set(ids)


@given(text=text)
def test_any_text_survives_gpt2s_own_bpe(grown, text):
    ids = grown.vocabulary.encode(text)
    assert grown.vocabulary.decode(ids) == text
    assert not ids or max(ids) < 50256


@given(texts=st.lists(text))
def test_texts_read_at_once_are_those_that_transformers_reads_one_by_one(learned, grown, texts):
    for vocabulary in (learned, grown.vocabulary):
        plain = [
            vocabulary.tokenizer(each, add_special_tokens=False, split_special_tokens=True)["input_ids"]
            for each in texts
        ]
        assert vocabulary.encode_all(texts) == plain == [vocabulary.encode(each) for each in texts]


def test_special_tokens_are_left_out_of_decoded_text(learned):
    dog = learned.encode("dog")
    ids = [learned.tokens["<|copy|>"], *dog, learned.padding, learned.end]
    assert learned.decode(ids) == "dog"


def test_end_padding_and_separators_are_tokens_of_their_own(learned):
    assert len({learned.end, learned.padding, *(learned.tokens[token] for token in SEPARATORS)}) == 4
    assert learned.tokens[END] == learned.end
    assert learned.tokens[PADDING] == learned.padding


def test_the_ids_have_no_holes(learned):
    assert sorted(learned.tokens.values()) == list(range(len(learned.tokens)))


@pytest.mark.parametrize("size", [260, 263, 300])
def test_a_vocabulary_never_exceeds_its_size(new_vocabulary, size):
    texts = ["many different words make many different merges, more than there is room for"] * 3
    assert len(new_vocabulary(texts, size, SEPARATORS).tokens) == size


def test_a_size_too_small_for_the_bytes_is_refused(new_vocabulary):
    with pytest.raises(UserError, match=r"--vocab_size 259 is too small: .* 260"):
        new_vocabulary(size=259, separators=SEPARATORS)


def test_source_and_target_are_tokenised_apart(task):
    a, b, both = (task.vocabulary.encode(text) for text in ("th", "e dog", "the dog"))
    assert [*a, *b] != both
    copy, end = task.vocabulary.tokens["<|copy|>"], task.vocabulary.end
    (line,) = task.sequences({"source": "th", "target": "e dog"}, 32, training=True)
    assert [*line.context, *line.target] == [*a, copy, *b, end]


def test_a_vocabulary_is_saved_for_autotokenizer_and_loads_again(learned, tmp_path):
    learned.save(tmp_path)
    again = TextVocabulary.load(str(tmp_path))
    assert again.tokens == learned.tokens
    assert (again.end, again.padding) == (learned.end, learned.padding)
    plain = AutoTokenizer.from_pretrained(tmp_path)
    assert plain("the dog")["input_ids"] == learned.encode("the dog")
    assert plain.convert_tokens_to_ids("<|copy|>") == learned.tokens["<|copy|>"]
    assert plain("the dog<|copy|>")["input_ids"][-1] == learned.tokens["<|copy|>"]


def test_a_new_separator_leaves_the_old_ids_alone(learned, tmp_path):
    learned.save(tmp_path)
    more = TextVocabulary(TextVocabulary.load(str(tmp_path)).tokenizer, {"<|to-de|>": "in German:"})
    assert more.tokens == {**learned.tokens, "<|to-de|>": len(learned.tokens)}


@pytest.mark.parametrize("model", [False, True])
def test_a_folder_without_a_tokenizer_is_refused_in_one_line(tmp_path, new_decoder, model):
    if model:  # for which transformers makes a tokenizer of no words
        new_decoder().save_pretrained(tmp_path)
    with pytest.raises(UserError, match="no tokenizer could be loaded from") as caught:
        TextVocabulary.load(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_tokenizer_of_music_is_told_from_one_of_text(tmp_path):
    MusicVocabulary().save(tmp_path)
    with pytest.raises(UserError, match="holds no tokenizer of text: give a decoder of text"):
        TextVocabulary.load(str(tmp_path))


def test_separators_are_named_by_their_words_and_tokens_by_their_text(learned):
    assert learned.words("<|summarize|>") == "In summary:"
    assert learned.words("Ġdog" if "Ġdog" in learned.tokens else "Ġ").strip() in ("dog", "")
    assert learned.words("Ã") != ""


def test_gpt2s_bpe_gives_the_published_ids(grown):
    assert grown.vocabulary.encode("Hello world, <|endoftext|>")[:3] == [15496, 995, 11]
    assert grown.vocabulary.end == 50256


def test_gpt2_is_given_separators_and_padding_behind_its_own_tokens(grown):
    added = {grown.vocabulary.tokens[token] for token in [PADDING, *SEPARATORS]}
    assert added == {50257, 50258, 50259}
    assert grown.vocabulary.padding in added
    assert grown.decoder.transformer.wte.weight.shape == (50260, 32)
    assert grown.decoder.config.vocab_size == 50260


def test_gpt2s_own_embeddings_do_not_change(grown):
    assert torch.equal(grown.decoder.transformer.wte.weight[:50257], grown.before)


@pytest.mark.parametrize("token", [PADDING, *SEPARATORS])
def test_a_new_embedding_lies_near_the_words_that_name_it(grown, token):
    words = grown.vocabulary.encode(" " + grown.vocabulary.words(token))
    mean = grown.before[words].mean(0)
    new = grown.decoder.transformer.wte.weight[grown.vocabulary.tokens[token]]
    assert F.cosine_similarity(new, mean, dim=0) > 0.95


def test_new_embeddings_differ_even_where_their_words_are_the_same(new_vocabulary):
    old = new_vocabulary(separators={"<|copy|>": "again"})
    new = new_vocabulary(separators={"<|a|>": "the dog", "<|b|>": "the dog"})
    weight = new_embeddings(torch.randn(len(old.tokens), 32), old, new)
    a, b = weight[new.tokens["<|a|>"]], weight[new.tokens["<|b|>"]]
    assert not torch.equal(a, b)
    assert torch.allclose(a, b, atol=0.02)


def test_the_output_head_stays_tied_to_the_embeddings(grown):
    assert grown.decoder.lm_head.weight is grown.decoder.transformer.wte.weight
    assert grown.decoder.lm_head.out_features == 50260


def test_the_decoder_learns_of_its_new_special_ids(grown):
    for config in (grown.decoder.config, grown.decoder.generation_config):
        assert (config.eos_token_id, config.pad_token_id) == (50256, grown.vocabulary.padding)


def test_tokens_in_common_keep_their_embeddings_under_other_ids(new_vocabulary):
    old, new = new_vocabulary(["aaaa bbbb"], 262), new_vocabulary(["cccc dddd"], 270)
    weight = torch.randn(len(old.tokens), 8)
    moved = new_embeddings(weight, old, new)
    common = old.tokens.keys() & new.tokens.keys()
    assert any(old.tokens[token] != new.tokens[token] for token in common)
    assert all(torch.equal(moved[new.tokens[token]], weight[old.tokens[token]]) for token in common)


def test_a_vocabulary_that_is_not_text_gives_new_tokens_the_mean_of_all():
    old = SimpleNamespace(tokens={"NoteOn_60": 0, "NoteOn_61": 1}, end=0, padding=0)
    new = SimpleNamespace(tokens={"NoteOn_61": 0, "dog": 1}, end=0, padding=0, words=lambda token: token)
    weight = torch.tensor([[1.0, 2.0], [3.0, 6.0]])
    moved = new_embeddings(weight, old, new)
    assert torch.equal(moved[0], weight[1])
    assert torch.allclose(moved[1], torch.tensor([2.0, 4.0]), atol=0.02)


def test_a_run_that_carries_its_modelling_file_asks_nothing(tmp_path, vocabulary, new_decoder, capfd):
    vocabulary.save(tmp_path)
    new_decoder(len(vocabulary.tokens), relative_attention=4).save_pretrained(tmp_path)
    assert "auto_map" in (tmp_path / "config.json").read_text()
    capfd.readouterr()
    assert TextVocabulary.load(str(tmp_path)).tokens == vocabulary.tokens
    assert capfd.readouterr() == ("", "")
