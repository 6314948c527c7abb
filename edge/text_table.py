"""Tables of plain text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence


def text_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, align: str = "", gap: int = 2
) -> str:
    """Makes a table with a ruled head.

    Args:
        head: Titles of the columns, K of them.
        rows: Cells, K in each row.
        align: "l" or "r" for each column, such as "lrrl". If it is too short, the first column is set to the
            left and the others to the right.
        gap: Spaces between two columns.

    Returns:
        Lines joined by newlines, without one at the end.
    """
    sides = align + ("l" + "r" * len(head))[len(align) :]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = []
    for row in [head, ["-" * width for width in widths], *rows]:
        cells = [
            cell.ljust(width) if side == "l" else cell.rjust(width)
            for cell, width, side in zip(row, widths, sides[: len(head)], strict=True)
        ]
        lines.append((" " * gap).join(cells).rstrip())
    return "\n".join(lines)
