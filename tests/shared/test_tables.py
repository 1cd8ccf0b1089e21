"""Tables: what stands where, and what is left out."""

from shared.tables import table

ROWS = [
    {"name": "first", "tokens": "1,024", "score": "2.50 ± 1.80"},
    {"name": "the second", "tokens": "96", "score": "not defined", "note": "a | b"},
    {"name": "3rd", "tokens": "-7", "score": "12.00 ± 0.10"},
]


def test_numbers_stand_to_the_right_as_they_were_rounded_and_text_to_the_left():
    assert table(["name", "score", "tokens"], ROWS).splitlines() == [
        "name               score    tokens",
        "first        2.50 ± 1.80     1,024",
        "the second   not defined        96",
        "3rd         12.00 ± 0.10        -7",
    ]


def test_columns_without_cells_are_left_out():
    assert table(["name", "seconds", "note"], ROWS[1:]).splitlines() == [
        "name        note",
        "the second  a | b",
        "3rd",
    ]
    assert table(["name"], []) == ""


def test_a_table_in_markdown():
    assert table(["name", "tokens"], ROWS[:1], markdown=True).splitlines() == [
        "| name   |   tokens |",
        "|:-------|---------:|",
        "| first  |    1,024 |",
    ]
