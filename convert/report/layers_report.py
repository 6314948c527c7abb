"""Describes the errors of the layers in words, a table and a chart."""

from __future__ import annotations

import textwrap

from garmentlite.convert.report import charts, html
from garmentlite.convert.report.html import Html
from garmentlite.convert.verify.layers import SNR_LIMIT, LayerError, LayersReport
from garmentlite.edge.text_table import text_table

TEXT_WIDTH = 100
NOTABLE_CLIPPING = 0.01  # share of clipped outputs from which a sentence names the layer

_METHOD = (
    "Own error: what the layer adds by itself, when both files get what the reference computed before it. "
    "Whole error: all that has accumulated since the image. SNR: signal-to-noise ratio in dB; 6 dB more is "
    f"half the error, {SNR_LIMIT:g} dB is no error at all. Clipped: share of the reference's outputs outside "
    "the range that the candidate can represent. The layers ran on the reference kernels of the runtime, "
    "because the default kernels (XNNPACK) fuse layers and hide the tensors between them; the outputs of the "
    "two differ by a few steps at most."
)


def findings(report: LayersReport) -> list[str]:
    """Describes the layers that stand out, in sentences."""
    worst = report.layers[0]
    if worst.own_snr_db == SNR_LIMIT:
        return ["No layer adds any error."]
    sentences = [
        f"Most error enters at layer {worst.name}: {worst.own_snr_db:.1f} dB by itself, cosine "
        f"{worst.own_cosine:.4f}."
    ]
    clipping = [row for row in report.layers if row.clipped >= NOTABLE_CLIPPING]
    sentences += [
        f"Layer {row.name} clips {row.clipped:.1%} of its outputs. {_on_clipping(row, report)}"
        for row in clipping
    ]
    within = [row for row in report.layers if row.clipped < NOTABLE_CLIPPING]
    if worst in clipping and within:
        sentences.append(
            f"Among the layers that clip less than {NOTABLE_CLIPPING:.0%}, {within[0].name} adds most error: "
            f"{within[0].own_snr_db:.1f} dB."
        )
    return sentences


def _on_clipping(row: LayerError, report: LayersReport) -> str:
    if row.place == len(report.layers):
        return (
            "Clipping is harmless for logits far below the answer; 'cli convert' clips them on purpose, to "
            "have finer steps where classes compete."
        )
    return (
        "Its quantization range is too narrow for these images: convert with more, or with other, images "
        "that set the ranges."
    )


def _figures(row: LayerError) -> tuple[str, ...]:
    """Writes the name and the figures of a layer, in the order of both tables."""
    return (
        row.name,
        f"{row.own_snr_db:.1f}",
        f"{row.own_cosine:.5f}",
        f"{row.snr_db:.1f}",
        f"{row.cosine:.5f}",
        f"{row.clipped:.2%}",
    )


# --- plain text


def to_text(report: LayersReport) -> str:
    """Makes the table for a terminal of 100 characters, worst layer first, without a final line end."""
    rows = [_figures(row) for row in report.layers]
    head = ("layer", "own SNR", "own cosine", "whole SNR", "whole cosine", "clipped")
    lines = [
        f"Layers, worst first: {report.images:,} images, {report.kernels} kernels",
        text_table(head, rows),
    ]
    for sentence in (*findings(report), _METHOD):
        lines += textwrap.wrap(sentence, TEXT_WIDTH)
    return "\n".join(lines)


# --- HTML


def to_section(report: LayersReport) -> Html:
    """Makes a section with the findings, a bar chart and the table, worst first."""
    headers = (
        "layer", "own SNR, dB", "own cosine", "whole SNR, dB", "whole cosine", "clipped",
        "tensor of the candidate",
    )  # fmt: skip
    rows = [
        (*_figures(row), html.code(row.tensor_candidate.partition(";")[0])) for row in report.layers
    ]
    chart = charts.bar_chart(
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
    """Computes the root mean square of the error over that of the signal in percent, at most 200."""
    if snr_db == SNR_LIMIT:
        return 0.0
    return min(200.0, 100 * 10 ** (-snr_db / 20))
