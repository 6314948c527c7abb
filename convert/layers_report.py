"""The errors of the layers in words, a table and a chart."""

from __future__ import annotations

import textwrap

from garmentlite.convert import html
from garmentlite.convert.html import Html
from garmentlite.convert.layers import SNR_LIMIT, LayerError, LayersReport

TEXT_WIDTH = 100
NOTABLE_CLIPPING = 0.01  # share of a layer's outputs above which it is said

_METHOD = (
    "Own: what the layer adds by itself, both files given what the reference computed before it. Whole: all "
    "that has gathered since the image. SNR: signal to noise in dB, 6 more is half the error; "
    f"{SNR_LIMIT:g} is no error at all. Clipped: outputs of the reference beyond the range that the "
    "candidate can show. This part ran on the reference kernels of the runtime, since the default ones "
    "(XNNPACK) hide what lies between layers they fuse; their outputs differ by a few steps at most."
)


def findings(report: LayersReport) -> list[str]:
    """What stands out, in sentences."""
    worst = report.layers[0]
    if worst.own_snr_db == SNR_LIMIT:
        return ["No layer adds any error."]
    sentences = [
        f"Most error enters at layer {worst.name}: {worst.own_snr_db:.1f} dB by itself, cosine "
        f"{worst.own_cosine:.4f}."
    ]
    clipping = [row for row in report.layers if row.clipped >= NOTABLE_CLIPPING]
    sentences += [
        f"Layer {row.name} cuts off {row.clipped:.1%} of its outputs. {_on_clipping(row, report)}"
        for row in clipping
    ]
    within = [row for row in report.layers if row.clipped < NOTABLE_CLIPPING]
    if worst in clipping and within:
        sentences.append(
            f"Of the layers that cut off less than {NOTABLE_CLIPPING:.0%}, {within[0].name} adds most: "
            f"{within[0].own_snr_db:.1f} dB."
        )
    return sentences


def _on_clipping(row: LayerError, report: LayersReport) -> str:
    if row.place == len(report.layers):
        return (
            "Of logits far below the answer that is harmless, and 'cli convert' does it so as to spend the "
            "steps where classes compete."
        )
    return "Its range was calibrated too narrow for these images: calibrate on more, or on others."


# --- plain text


def to_text(report: LayersReport) -> str:
    """The table, worst first, for a terminal, at most 100 characters wide; no line end at the end."""
    width = max(len("layer"), *(len(row.name) for row in report.layers))
    lines = [
        f"Layers, worst first: {report.images:,} images, {report.kernels} kernels",
        f"{'layer':<{width}}  {'own SNR':>8}  {'own cosine':>10}  {'whole SNR':>9}  {'cosine':>8}  "
        f"{'clipped':>7}",
    ]
    lines += [
        f"{row.name:<{width}}  {row.own_snr_db:>8.1f}  {row.own_cosine:>10.5f}  {row.snr_db:>9.1f}  "
        f"{row.cosine:>8.5f}  {row.clipped:>7.2%}"
        for row in report.layers
    ]
    for sentence in (*findings(report), _METHOD):
        lines += textwrap.wrap(sentence, TEXT_WIDTH)
    return "\n".join(lines)


# --- HTML


def to_section(report: LayersReport) -> Html:
    """A section with what stands out, a bar chart and the table, worst first."""
    headers = (
        "layer", "own SNR, dB", "own cosine", "whole SNR, dB", "whole cosine", "clipped",
        "tensor of the candidate",
    )  # fmt: skip
    rows = [
        (
            row.name,
            f"{row.own_snr_db:.1f}",
            f"{row.own_cosine:.5f}",
            f"{row.snr_db:.1f}",
            f"{row.cosine:.5f}",
            f"{row.clipped:.2%}",
            html.code(row.tensor_candidate.partition(";")[0]),
        )
        for row in report.layers
    ]
    chart = html.bar_chart(
        {row.name: [_percent(row.own_snr_db), _percent(row.snr_db)] for row in report.layers},
        ["own error", "whole error"],
        title="Error of every layer, worst first",
        x_label="error as a share of the signal, % (root mean square)",
    )
    return html.section(
        "Layer by layer",
        *(html.paragraph(sentence) for sentence in findings(report)),
        Html(f'<div class="scroll">{chart}</div>'),
        html.table(headers, rows, align="lrrrrrl"),
        _METHOD,
        lead=f"Where the error enters, worst first, measured on {report.images:,} images.",
    )


def _percent(snr_db: float) -> float:
    """The error over the signal, root mean squares, in percent; 200 where it is more."""
    if snr_db == SNR_LIMIT:
        return 0.0
    return min(200.0, 100 * 10 ** (-snr_db / 20))
