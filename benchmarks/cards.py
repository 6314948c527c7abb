"""Prints the tables of README and docs that come from the files in models/ and their cards.

    python benchmarks/cards.py

The tables are in Markdown; a JSON line of what the files hold follows. Nothing is measured here.
"""

from __future__ import annotations

import json

from garmentlite.convert.card import read_card
from garmentlite.edge.shipped import FOLDER, NETWORKS


def print_files(name: str) -> None:
    """Prints what the bytes of every file of a network hold, and whether it is unchanged."""
    print("| file | bytes | input | operators | parameters | MACs | activations | as it was made |")
    print("|---|---|---|---|---|---|---|---|")
    summary = {}
    for path in sorted(FOLDER.glob(f"{name}_*.tflite")):
        found = read_card(path)
        contents = found.contents
        print(
            f"| `{path.name}` | {found.size:,} | {contents.input_type} | {len(contents.steps)} | "
            f"{contents.parameters:,} | {contents.macs:,} | {contents.arena_bytes:,} bytes | "
            f"{'no' if found.warnings else 'yes'} |"
        )
        summary[path.name] = contents.as_document() | {"warnings": found.warnings}
    print(f"\n{json.dumps(summary)}\n")


def main() -> None:
    for name in sorted(NETWORKS):
        card = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        floating, integer = (card["measured"][kind]["test"] for kind in ("float32", "int8"))
        print(f"### {card['name']}: {card['parameters']:,} parameters\n")
        print("| class | recall float32 | recall int8 | precision float32 | precision int8 |")
        print("|---|---|---|---|---|")
        for one, other in zip(floating["per_class"], integer["per_class"], strict=True):
            cells = [one["recall"], other["recall"], one["precision"], other["precision"]]
            print(f"| {one['label']} | " + " | ".join(f"{cell:.1%}" for cell in cells) + " |")
        print(
            f"| **accuracy** | **{floating['accuracy']:.2%}** | **{integer['accuracy']:.2%}** | | |\n"
        )
        print("| way to int8 | changed validation images | accuracy | Shirt lost/gained |")
        print("|---|---|---|---|")
        for way in card["quantization"]["candidates"]:
            mark = " (shipped)" if way["way"] == card["quantization"]["way"] else ""
            print(
                f"| {way['way']}{mark} | {way['changed']} of {way['validation_images']:,} | "
                f"{way['accuracy_change'] * 100:+.2f} points | "
                f"{way['lost']['Shirt']}/{way['gained']['Shirt']} |"
            )
        print()
        print_files(card["name"])


if __name__ == "__main__":
    main()
