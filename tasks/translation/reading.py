"""Rows of two languages, in any of their usual shapes -> {"source", "target"}."""

from typing import Any

from datasets import Dataset, concatenate_datasets

from shared.data.loading import FORMATS, clean_text, convert_rows, format_suffix, load_files, origin
from shared.errors import UserError


def read_translation_files(paths: list[str], split: str) -> Dataset:
    """Parallel text, or any files that `shared.data.loading.load_files` reads.

    Parallel text is two files of as many lines whose suffixes are the languages, `train.en train.de`; further
    pairs of the same languages may follow. Its columns are named by the languages.

    Raises:
        UserError: if the files are neither, or their lines do not pair up.
    """
    suffixes = [format_suffix(path) for path in paths]
    if any(suffix.lower() in FORMATS for suffix in suffixes):
        return load_files(paths, split)
    pairs = list(zip(paths[::2], paths[1::2], strict=False))
    languages = set(suffixes)
    if (
        len(paths) % 2
        or len(languages) != 2
        or any({format_suffix(a), format_suffix(b)} != languages for a, b in pairs)
    ):
        raise UserError(
            f"{', '.join(paths)}: give files of one format ({' '.join(FORMATS)}), "
            "or parallel text in pairs named by two languages, like train.en train.de"
        )
    rows = concatenate_datasets([_read_pair(first, second, split) for first, second in pairs])
    rows.info.description = ", ".join(paths)
    return rows


def translation_rows(rows: Dataset, source_lang: str, target_lang: str) -> Dataset:
    """Rows {"source": str, "target": str}, without the white space around them; empty ones are skipped.

    `rows` hold a column per language (`en`, `de`) or the hub's {"translation": {"en": …, "de": …}}.

    Raises:
        UserError: if they lack a language, hold anything but text, or leave no pair.
    """
    # The first rows say which languages there are: some shapes have no schema that does.
    first = rows[:1000].get("translation", [])
    nested = {language: None for pair in first if isinstance(pair, dict) for language in pair}
    languages = list(nested) or rows.column_names
    for flag, language in (("--source_lang", source_lang), ("--target_lang", target_lang)):
        if language not in languages:
            raise UserError(f"{origin(rows)}: no {flag} '{language}'; found: {', '.join(languages)}")

    def convert(row: dict[str, Any]) -> dict[str, str] | None:
        pair = row["translation"] if nested else row
        if pair is None:
            return None
        if not isinstance(pair, dict):
            raise ValueError(f"column 'translation' holds {str(pair)[:40]!r}, not a pair of texts")
        source = clean_text(pair.get(source_lang), source_lang)
        target = clean_text(pair.get(target_lang), target_lang)
        return {"source": source, "target": target} if source and target else None

    return convert_rows(rows, convert, ["source", "target"])


def _read_pair(first: str, second: str, split: str) -> Dataset:
    sides = [
        load_files([path], split, suffix=".txt").rename_column("text", format_suffix(path).removeprefix("."))
        for path in (first, second)
    ]
    if len(sides[0]) != len(sides[1]):
        raise UserError(
            f"{first} has {len(sides[0])} lines, {second} has {len(sides[1])}; "
            "parallel text needs line by line the same sentences"
        )
    return concatenate_datasets(sides, axis=1)
