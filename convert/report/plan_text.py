"""Makes the table of 'cli plan'."""

from __future__ import annotations

from collections.abc import Sequence

from garmentlite.convert.verify.planning import PROBABILITIES, Plan
from garmentlite.edge.text_table import text_table


def to_text(plans: Sequence[Plan]) -> str:
    """Makes the table of the plans for a terminal.

    Args:
        plans: Plans of one margin, for several shares of changed images; at least one.
    """
    first, likely = plans[0], max(PROBABILITIES)
    rows = [
        (
            f"{one.changed:.2%}",
            *("over a million" if n is None else f"{n:,}" for n in one.images.values()),
        )
        for one in plans
    ]
    head = ("images changed", *(f"shown in {p:.0%} of cases" for p in PROBABILITIES))
    return "\n".join(
        [
            f"Images of a class that show a margin of {100 * first.margin:g} points at alpha "
            f"{first.alpha:g}, if as many images are gained as lost:",
            text_table(head, rows),
            f"The table is for one class. Ten such classes are all shown in {likely:.0%} to the power of "
            f"ten, {likely**10:.0%} of cases.",
        ]
    )
