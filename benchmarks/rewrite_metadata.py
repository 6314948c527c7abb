"""Rewrites the metadata of model files to the current format; the models themselves stay byte for byte.

    python benchmarks/rewrite_metadata.py [FOLDER]

Takes each .tflite file with metadata in the folder (models/ otherwise), and brings the cards beside them up
to date: views, sizes and checksums. Prints what was changed. A second run changes nothing.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from garmentlite.edge.files import sha256, write_bytes, write_json
from garmentlite.edge.metadata import Metadata, attach, split
from garmentlite.edge.shipped import FOLDER


def rewrite_model(path: Path) -> Metadata | None:
    """Writes a file with its metadata in the current format.

    Returns:
        The metadata; None for a file without.
    """
    content = path.read_bytes()
    flatbuffer, metadata = split(content)
    if metadata is None:
        return None
    rewritten = attach(flatbuffer, metadata)
    assert split(rewritten)[0] == flatbuffer, "the model itself must not change"
    assert rewritten.startswith(flatbuffer)
    if rewritten != content:
        write_bytes(path, rewritten)
        print(f"{path}: {len(content):,} to {len(rewritten):,} bytes")
    return metadata


def rewrite_card(path: Path, views: tuple[str, ...]) -> None:
    """Brings a card up to date with the files beside it."""
    card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    updated: dict[str, Any] = {}
    for name, value in card.items():
        if name == "views":
            continue
        updated[name] = value
        if name == "preparation":  # the place where 'cli convert' writes them
            updated["views"] = list(views)
    for one in updated["files"].values():
        content = (path.parent / one["file"]).read_bytes()
        one.update(bytes=len(content), sha256=sha256(content))
    for row in updated.get("formats", []):
        file = path.parent / row["file"]
        if file.is_file():  # a format that was measured need not be kept
            row["bytes"] = file.stat().st_size
    if updated != card:
        write_json(path, updated)
        print(f"{path}: up to date")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER)
    folder = parser.parse_args().folder
    metadata = {path.name: rewrite_model(path) for path in sorted(folder.glob("*.tflite"))}
    for path in sorted(folder.glob("*.json")):
        found = metadata.get(f"{path.stem}_int8.tflite")
        if found:
            rewrite_card(path, found.views)


if __name__ == "__main__":
    main()
