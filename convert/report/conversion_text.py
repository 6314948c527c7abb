"""Makes the tables of 'cli convert': the ways to int8, and the files side by side."""

from __future__ import annotations

from collections.abc import Sequence

from garmentlite.convert.format_table import Row
from garmentlite.convert.int8_candidates import Candidate
from garmentlite.convert.job import Job
from garmentlite.convert.pipeline import Converted
from garmentlite.edge.text_table import text_table
from garmentlite.train import runs


def to_text(done: Converted) -> str:
    """Makes both tables for a terminal."""
    parts = []
    if done.candidates:
        parts.append(
            _ways_text(
                done.candidates, done.chosen, done.material.labels, done.material.is_labelled
            )
        )
    parts.append(_formats_text(done.table, len(done.material.test.y), done.material.name))
    return "\n\n".join(parts)


def next_step(job: Job, done: Converted) -> str:
    """Returns the command that verifies the result, or what to do if only the reference was written."""
    reference, *others = done.paths.values()
    if not others:
        return f"{reference} is the reference; other formats, such as --int8, are compared with it."
    candidate = done.paths.get("int8", others[0])
    photos = (
        job.source.run / runs.HELD_OUT if job.source.run and job.source.is_on_own_photos else None
    )
    on = f" --photos {photos}" if photos else ""
    return f"Next: cli verify {reference} {candidate}{on}"


def _ways_text(
    candidates: Sequence[Candidate],
    chosen: Candidate | None,
    labels: Sequence[str],
    is_labelled: bool,
) -> str:
    rows = [
        (
            ("* " if one is chosen else "  ") + one.way,
            f"{one.changed} of {one.images:,}",
            f"{one.accuracy_change * 100:+.2f} points" if is_labelled else "-",
            _worst_class(one, labels),
        )
        for one in candidates
    ]
    head = ("way", "changed", "accuracy", "class that lost most (lost/gained)")
    return "\n".join(
        [
            "Ways to int8, on validation images (changed: images with another answer than float's):",
            text_table(head, rows),
            "* chosen.",
        ]
    )


def _worst_class(one: Candidate, labels: Sequence[str]) -> str:
    worst = int((one.lost - one.gained).argmax())
    return f"{labels[worst]} ({one.lost[worst]}/{one.gained[worst]})"


def _formats_text(table: Sequence[Row], images: int, data: str) -> str:
    """Makes the table of the files side by side; a figure of one class names the class."""

    def of_class(share: float | None, label: str | None, sign: str = "") -> str:
        return "-" if share is None else f"{label} {share * 100:{sign}.1f}"

    head = (
        "format", "kB", "changed", "accuracy", "lowest recall", "largest loss", "ms", "MB", "kernels",
        "parity",
    )  # fmt: skip
    rows = [
        (
            row.format,
            f"{row.bytes / 1000:,.0f}",
            "-" if row.changed is None else str(row.changed),
            "-" if row.accuracy is None else f"{row.accuracy:.2%}",
            of_class(row.lowest_recall, row.lowest_recall_label),
            of_class(row.largest_loss, row.largest_loss_label, "+"),
            f"{row.latency_ms:.3f}",
            "-" if row.peak_memory_bytes is None else f"{row.peak_memory_bytes / 1e6:.1f}",
            row.kernels,
            row.verdict,
        )
        for row in table
    ]
    return "\n".join(
        [
            f"Files side by side, on {images:,} test images ({data}):",
            text_table(head, rows),
            "changed: images with another answer than float32's; recall in %, loss in points.",
            "ms: median time of one answer on one thread of this machine.",
            "MB: memory that a process takes to read and run the file, at its peak.",
        ]
    )
