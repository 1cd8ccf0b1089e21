"""One id space: text tokens | separators | MIDI events.

A run has one vocabulary. That of text is a Hugging Face tokenizer, that of music a MidiTok one; both answer to the few
names of `Vocabulary`. A decoder moves from one vocabulary to another by the tokens they share and by the words that
name the new ones (`shared.model.build.new_embeddings`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from shared.errors import UserError, first_line

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

END = "<|endoftext|>"
PADDING = "<|pad|>"


class Vocabulary(Protocol):
    """What tasks, decoders and runs need of a tokenizer; `end` and `padding` are ids."""

    end: int
    padding: int

    @property
    def tokens(self) -> Mapping[str, int]:
        """The id of every token."""

    def words(self, token: str) -> str:
        """English words that say what a token means, from which its first embedding is made."""

    def save(self, folder: Path) -> None:
        """Write the tokenizer in its own library's format."""


def same_tokens(vocabulary: Vocabulary, other: Vocabulary) -> bool:
    """Whether two vocabularies read and write the same ids: a kind of its own may mean the same tokens otherwise."""
    return type(vocabulary) is type(other) and vocabulary.tokens == other.tokens


class TextVocabulary:
    """Byte-level BPE with separators, each a token of its own.

    Text never produces a special token, even where it spells one out, and every text decodes to itself.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, separators: Mapping[str, str] | None = None):
        """`separators` maps each separator's token to the words that name its job; missing ones are added."""
        self.separators = {**(separators or {}), PADDING: "padding"}
        if tokenizer.eos_token is None:
            tokenizer.add_special_tokens({"eos_token": END})
        tokenizer.add_special_tokens({"pad_token": PADDING})
        tokenizer.add_tokens(list(self.separators), special_tokens=True)
        self.tokenizer = tokenizer
        self.tokens = tokenizer.get_vocab()
        self.end, self.padding = tokenizer.eos_token_id, tokenizer.pad_token_id

    @classmethod
    def load(cls, name: str) -> TextVocabulary:
        """From a hub name, a folder holding a tokenizer, or an earlier run.

        Raises:
            UserError: if there is no tokenizer.
        """
        from transformers import AutoTokenizer, GPT2Config  # noqa: PLC0415 (brings PyTorch, which --help does without)

        try:
            # Every decoder here is a GPT-2. Asked of a run that carries its modelling file, transformers would ask the
            # user on standard input whether to trust it.
            tokenizer = AutoTokenizer.from_pretrained(name, config=GPT2Config())
            if len(tokenizer) == len(tokenizer.get_added_vocab()):  # what transformers makes of a folder without one
                raise ValueError("no vocabulary there")
            return cls(tokenizer)
        except KeyError as error:  # as in the files of a run of music
            raise UserError(f"'{name}' holds no tokenizer of text: give a decoder of text") from error
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise UserError(
                f"no tokenizer could be loaded from '{name}': give a folder with a tokenizer.json or a name on the "
                f"hub that this machine can reach ({first_line(error)})"
            ) from error

    @classmethod
    def train(cls, texts: Iterable[str], size: int, separators: Mapping[str, str]) -> TextVocabulary:
        """A new byte-level BPE of at most `size` tokens, the separators included, learned from `texts`.

        Raises:
            UserError: if `size` has no room for all bytes and separators.
        """
        new = {END, PADDING, *separators}
        from transformers import PreTrainedTokenizerFast  # noqa: PLC0415 (as above)

        smallest = len(pre_tokenizers.ByteLevel.alphabet()) + len(new)
        if size < smallest:
            raise UserError(f"--vocab_size {size} is too small: the bytes and separators alone take {smallest}")
        bpe = Tokenizer(models.BPE())
        bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        bpe.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=size - len(new) + 1,  # the end comes with the trainer, the others are added behind
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            special_tokens=[END],
            show_progress=False,
        )
        bpe.train_from_iterator(texts, trainer)
        return cls(PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token=END, eos_token=END), separators)

    def encode(self, text: str) -> list[int]:
        """The ids of a text.

        Raises:
            UserError: for what is no Unicode, such as a byte of a command line that is not UTF-8.
        """
        return self.encode_all([text])[0]

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, as `encode` gives them; a text that comes again is read once.

        Raises:
            UserError: as `encode`.
        """
        # What transformers' tokenizer calls, without its masks and checks, which take as long as the reading itself.
        backend: Tokenizer = self.tokenizer.backend_tokenizer
        backend.encode_special_tokens = True
        backend.no_truncation()
        backend.no_padding()
        once = list(dict.fromkeys(texts))
        try:
            found = backend.encode_batch_fast(once, add_special_tokens=False)
        except TypeError as error:  # of a lone surrogate
            wrong = next((text for text in once if not _is_unicode(text)), once[0])
            raise UserError(f"{wrong[:40]!a} holds what is no Unicode: give text in UTF-8") from error
        ids = {text: encoding.ids for text, encoding in zip(once, found, strict=True)}
        return [ids[text] for text in texts]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`, special tokens left out."""
        text = self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        assert isinstance(text, str)  # a list of texts is for a list of lists
        return text

    def words(self, token: str) -> str:
        if token in self.separators:
            return self.separators[token]
        return self.tokenizer.convert_tokens_to_string([token])

    def save(self, folder: Path) -> None:
        self.tokenizer.save_pretrained(folder)


def _is_unicode(text: str) -> bool:
    """Whether a text has no lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
