"""Tables for people, as text or as Markdown."""

from collections.abc import Iterable, Mapping, Sequence

from tabulate import tabulate


def table(columns: Sequence[str], rows: Iterable[Mapping[str, str]], markdown: bool = False) -> str:
    """The rows' cells below their columns' names: numbers stand to the right, text to the left.

    A row need not have every column; a column without any cell is left out.
    """
    rows = list(rows)
    columns = [column for column in columns if any(row.get(column) for row in rows)]
    return tabulate(
        [[row.get(column, "") for column in columns] for row in rows],
        headers=columns,
        tablefmt="pipe" if markdown else "plain",
        disable_numparse=True,  # the digits are as the caller rounded them
        colalign=["right" if of_numbers([row.get(column, "") for row in rows]) else "left" for column in columns],
    )


def of_numbers(cells: Sequence[str]) -> bool:
    """Whether most of the filled cells begin as numbers do: `1,024`, `2.50 ± 1.80`, `-3 %`."""
    filled = [cell for cell in cells if cell]
    return 2 * sum(cell.lstrip("+-")[:1].isdigit() for cell in filled) > len(filled)
