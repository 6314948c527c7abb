"""Tests of tables of plain text."""

from garmentlite.edge.text_table import text_table


def test_table_sets_the_first_column_left_and_the_others_right():
    assert text_table(["class", "recall"], [["Bag", "9.1%"], ["Ankle boot", "98.0%"]]) == (
        "class       recall\n----------  ------\nBag           9.1%\nAnkle boot   98.0%"
    )
