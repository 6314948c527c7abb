"""Simulates, and computes where possible, how often the parity check errs and what it detects.

    python benchmarks/parity_simulation.py

Ten classes of 1,000 images each. Of the images of a class a share changes sides, half of it lost and half
gained; a class with a true loss loses that beside it. Every round draws the counts of all ten classes and
judges them with the functions of garmentlite. Prints tables in Markdown, then one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import math
from functools import lru_cache

import numpy as np

from garmentlite.convert.verify.criteria import Criteria
from garmentlite.convert.verify.judge import verdict_of
from garmentlite.convert.verify.planning import chance_of_shown
from garmentlite.convert.verify.statistics import (
    holm,
    is_shown,
    loss_bound,
    loss_score,
    mcnemar_p,
    smallest_support,
    z_of,
)

ALPHA = 0.05
CLASSES = 10
CHANGED = (0.0, 0.005, 0.01, 0.02, 0.05)  # shares of the images of a class
MARGINS = (0.01, 0.02)
LOSSES = (0.02, 0.03, 0.04)
# Of the search for the worst case over small classes.
SEARCH_MARGINS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1)
SEARCH_GAINED = (0.0, *np.geomspace(1e-4, 0.2, 20).tolist())

bound_of = lru_cache(None)(loss_bound)
p_of = lru_cache(None)(mcnemar_p)


def draw(
    rng: np.random.Generator, rounds: int, support: int, changed: float, loss: float = 0.0
) -> np.ndarray:
    """Draws lost and gained images of one class, shape (rounds, 2)."""
    shares = [changed / 2 + loss, changed / 2, 1 - changed - loss]
    return rng.multinomial(support, shares, size=rounds)[:, :2]


def verdicts(counts: np.ndarray, support: int, margin: float) -> list[list[str]]:
    """Judges every class in every round; counts have the shape (rounds, classes, 2)."""
    return [
        [
            verdict_of(bound_of(b, c, support, ALPHA), p, Criteria(margin, ALPHA))
            for (b, c), p in zip(row, holm([p_of(b, c) for b, c in row]), strict=True)
        ]
        for row in counts.tolist()
    ]


def simulate(rounds: int, support: int, seed: int) -> list[dict]:
    """Simulates one row for each margin and share of changed images."""
    rows = []
    for margin in MARGINS:
        for changed in CHANGED:
            rng = np.random.default_rng(seed)
            sound = np.stack([draw(rng, rounds, support, changed) for _ in range(CLASSES)], axis=1)
            at_margin = draw(rng, rounds, support, changed, margin).tolist()
            row = {
                "margin": margin,
                "changed": changed,
                "lost_said": np.mean(["lost" in said for said in verdicts(sound, support, margin)]),
                "shown_at_margin": np.mean(
                    [bound_of(b, c, support, ALPHA) < margin for b, c in at_margin]
                ),
                "shown_at_margin_computed": chance_of_shown(
                    support, changed / 2 + margin, changed / 2, margin=margin, alpha=ALPHA
                ),
            }
            for loss in LOSSES:
                counts = sound.copy()
                counts[:, 0] = draw(rng, rounds, support, changed, loss)
                said = [classes[0] for classes in verdicts(counts, support, margin)]
                row[f"not_shown_{loss:g}"] = np.mean([one != "shown" for one in said])
                row[f"lost_{loss:g}"] = np.mean([one == "lost" for one in said])
            rows.append({key: float(value) for key, value in row.items()})
    return rows


def shown_by_tango_alone(support: int, margin: float, gained: float) -> float:
    """Computes how often Tango's bound alone shows a class whose true loss is the margin."""
    chance = chance_of_shown(support, gained + margin, gained, margin=margin, alpha=ALPHA)
    # Where no image is gained, the exact bound refuses some numbers of lost images that Tango's allows.
    lost = 0
    while loss_score(lost, 0, support, margin) < -z_of(ALPHA):
        if not is_shown(lost, 0, support, margin=margin, alpha=ALPHA):
            logarithm = lost * math.log(gained + margin) if lost else 0.0
            logarithm += (support - lost) * math.log(1 - 2 * gained - margin)
            chance += math.comb(support, lost) * math.exp(logarithm)
        lost += 1
    return chance


def worst_cases() -> dict[str, dict]:
    """Finds the supports at which a class whose true loss is the margin is shown most often."""
    worst: dict[str, dict] = {}
    for margin in SEARCH_MARGINS:
        fewest = smallest_support(margin, ALPHA)
        without = math.floor(z_of(ALPHA) ** 2 * (1 - margin) / margin) + 1  # by Tango alone
        supports = {
            *range(without, fewest + 12),
            *np.geomspace(fewest, 20 * fewest, 25).astype(int),
        }
        for support in sorted(map(int, supports)):
            for gained in SEARCH_GAINED:
                if 2 * gained + margin >= 1:
                    continue
                chances = {
                    "tango": shown_by_tango_alone(support, margin, gained),
                    "used": chance_of_shown(
                        support, gained + margin, gained, margin=margin, alpha=ALPHA
                    ),
                }
                for name, chance in chances.items():
                    if chance > worst.get(name, {"shown": 0.0})["shown"]:
                        worst[name] = {
                            "shown": chance, "margin": margin, "support": support, "gained": gained,
                        }  # fmt: skip
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10_000)
    parser.add_argument("--support", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rows = simulate(arguments.rounds, arguments.support, arguments.seed)
    print(
        f"{CLASSES} classes of {arguments.support:,} images, alpha {ALPHA}, {arguments.rounds:,} rounds, "
        f"seed {arguments.seed}.\n"
    )
    print(
        "| margin | changed | lost said of any class, none is | shown at a loss of the margin | computed |"
    )
    print("|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['margin']:.0%} | {row['changed']:.1%} | {row['lost_said']:.4f} | "
            f"{row['shown_at_margin']:.4f} | {row['shown_at_margin_computed']:.4f} |"
        )
    print("\nPower: one class has a true loss, nine have none.\n")
    heads = " | ".join(f"{loss:.0%}: not shown | lost" for loss in LOSSES)
    print(f"| margin | changed beside | {heads} |")
    print("|---|---|" + "---|---|" * len(LOSSES))
    for row in rows:
        cells = " | ".join(
            f"{row[f'not_shown_{loss:g}']:.3f} | {row[f'lost_{loss:g}']:.3f}" for loss in LOSSES
        )
        print(f"| {row['margin']:.0%} | {row['changed']:.1%} | {cells} |")
    worst = worst_cases()
    print("\nMost often shown at a loss of the margin, computed over small and large classes:\n")
    print("| bound | shown | margin | images | gained |")
    print("|---|---|---|---|---|")
    for name, title in (("tango", "Tango alone"), ("used", "with the exact bound: used")):
        one = worst[name]
        print(
            f"| {title} | {one['shown']:.4f} | {one['margin']:.1%} | {one['support']:,} | "
            f"{one['gained']:.2%} |"
        )
    deviation = math.sqrt(ALPHA * (1 - ALPHA) / arguments.rounds)
    print(f"\nA rate of {ALPHA} deviates by {deviation:.4f} in {arguments.rounds:,} rounds.")
    print(json.dumps({"rounds": arguments.rounds, "rows": rows, "worst": worst}))


if __name__ == "__main__":
    main()
