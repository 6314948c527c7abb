"""The shipped segmentation network, with its outline sharpened by colours."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.segmenters.border import is_commoner_in_the_middle
from garmentlite.edge.segmenters.colours import (
    LOGIT_OF_A_LEVEL,
    colour_bins,
    evidence_levels,
    share_of_bins,
    smoothed,
)
from garmentlite.edge.segmenters.interface import Found
from garmentlite.edge.segmenters.masks import cleaned, enlarged, reduced
from garmentlite.edge.segmenters.network_file import SIDE, SegmentationNetwork, garment_weights
from garmentlite.edge.segmenters.plain import mask_on_plain_background

# Weight of the network's logit beside the colours' logit. The network locates the garment and colours
# sharpen its outline. Between 0.3 and 0.8 the mean overlap with the outlines of benchmarks/ changes by
# less than a point; larger weights suit small garments in rooms.
_NETWORK_WEIGHT = 0.5
_NEIGHBOURS = (6, 58, 128, 58, 6)  # a Gaussian with standard deviation 0.8, in 256ths
# A picture shows a garment if the network's logit reaches this on 1% of the pixels. Nothing is found in 0.4%
# of 3,287 photographs of clothes, and in 91.5% of 82 pieces of background (`benchmarks/segmentation.py`).
_LEAST_CERTAINTY = 2.5
# On a plain background something stands out in any case, so the network must be rather sure that it is not a
# garment. The same benchmark counts the pictures of products in which nothing is found.
_LEAST_CERTAINTY_ON_PLAIN = -2.0
# What the logit must reach on 2% of the pixels of a part of a frame, if it is known what does not belong to
# the scene.
_LEAST_GUIDED_CERTAINTY = 1.0
# Neighbours of a likely pixel that may belong to the garment too. Colours may add legs and sleeves that the
# network misses, up to 16 pixels of the reduced picture away, but nothing farther away. Six pixels were too
# few for a pair of drawn trousers.
_REACH = np.ones((33, 33), np.uint8)
_POSSIBLE = -1.0  # logit of the evidence from which on a pixel may belong to a garment
_SUREST = int(0.99 * SIDE * SIDE)  # index of that pixel in the sorted levels


class NetworkSegmenter:
    """A network locates the garment in the picture reduced to a small square; colours sharpen its outline.

    The network's mask shows how common each colour is on the garment and on the background. The two
    together decide for each pixel, on a finer grid than the network's. On a plain background the paper's
    rule is used instead, which is exact there.
    """

    name = "network"
    version = 6

    def __init__(self, path: Path | None = None) -> None:
        """Reads the network once for all pictures.

        Args:
            path: A `.tflite` file; None reads the shipped one.

        Raises:
            ModelError: If the file is missing, or is not a segmentation network.
            MissingPartError: If the LiteRT runtime is not installed.
        """
        self._network = SegmentationNetwork(path)

    def segment(self, rgb: np.ndarray) -> np.ndarray:
        """See `Segmenter.segment`."""
        return next(self.candidate_masks(rgb))

    def candidate_masks(self, rgb: np.ndarray) -> Iterator[np.ndarray]:
        """See `AlternativeSegmenter.candidate_masks`: the second mask is that of `BorderSegmenter`.

        On a plain background there is only one mask, which is empty if the network is sure that what stands
        out is not a garment. The two masks fail on different photographs, so the mean
        of the answers to both is right more often than the answer to either (docs/photographs.md has the
        figures).
        """
        small = reduced(rgb)
        levels = self._levels(small)
        certainty = self._network.logits(np.partition(levels, _SUREST, axis=None)[_SUREST])
        mask = mask_on_plain_background(small)
        if mask is not None:
            is_garment = certainty >= _LEAST_CERTAINTY_ON_PLAIN
            yield enlarged(cleaned(mask & is_garment), rgb.shape)
            return
        bins = colour_bins(small)
        if certainty < _LEAST_CERTAINTY:
            yield np.zeros(rgb.shape[:2], bool)
        else:
            yield enlarged(cleaned(self._found(levels, bins)), rgb.shape)
        yield enlarged(cleaned(is_commoner_in_the_middle(bins)), rgb.shape)

    def guided(self, rgb: np.ndarray, evidence: np.ndarray | None) -> Found:
        """See `GuidedSegmenter.guided`: what the network sees and the evidence decide together."""
        cv2 = load_opencv()
        small = reduced(rgb)
        size_wh = (small.shape[1], small.shape[0])
        smooth = cv2.resize(self._levels(small), size_wh, interpolation=cv2.INTER_LINEAR_EXACT)
        logits = self._network.logits(smooth)
        plain = None
        if evidence is None:
            evidence = np.zeros_like(logits)
            plain = mask_on_plain_background(small)
        else:
            evidence = cv2.resize(evidence, size_wh, interpolation=cv2.INTER_LINEAR_EXACT)
        number = max(1, int(0.02 * logits.size))
        surest = np.sort(logits[evidence > _POSSIBLE])[-number:]
        if len(surest) < number or surest[0] < _LEAST_GUIDED_CERTAINTY:
            return Found(np.zeros(rgb.shape[:2], bool), -math.inf)
        total = logits + evidence
        if plain is None:
            located = _NETWORK_WEIGHT * logits + evidence
            mask = _by_colours(colour_bins(small), garment_weights(total), located)
            likely = (total > 0).view(np.uint8)
            mask = cleaned(mask & cv2.dilate(likely, _REACH).view(bool))
        else:
            mask = cleaned(plain)
        garment = total[mask & (total > 0)]
        certainty = float(garment.mean(dtype=np.float64)) if len(garment) else -math.inf
        return Found(enlarged(mask, rgb.shape), certainty)

    def _found(self, levels: np.ndarray, bins: np.ndarray) -> np.ndarray:
        """Combines the network's levels and the colours: bool, shape (H, W), True on the garment."""
        cv2 = load_opencv()
        size_wh = (bins.shape[1], bins.shape[0])
        smooth = cv2.resize(levels, size_wh, interpolation=cv2.INTER_LINEAR_EXACT)
        weights = self._network.garment_weights(smooth)
        return _by_colours(bins, weights, _NETWORK_WEIGHT * self._network.logits(smooth))

    def _levels(self, rgb: np.ndarray) -> np.ndarray:
        """Runs the network on the picture resized to its square: uint8, shape (SIDE, SIDE)."""
        cv2 = load_opencv()
        # INTER_AREA differs between machines unless the sides are multiples of SIDE. A side of the picture
        # is at most a third longer than SIDE, so hardly a pixel is passed over.
        square_rgb = cv2.resize(rgb, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR_EXACT)
        return self._network.levels(square_rgb)


def _by_colours(bins: np.ndarray, weights: np.ndarray, located: np.ndarray) -> np.ndarray:
    """Sharpens the outline by how common each colour is on the garment and on the background.

    Args:
        bins: Shape (H, W), see `colour_bins`.
        weights: float32, shape (H, W), in [0, 1]: how much each pixel counts as garment.
        located: float32, shape (H, W), the logit that is added to that of the colours.

    Returns:
        bool, shape (H, W), True on the garment.
    """
    inside, outside = (share_of_bins(bins, counted) for counted in (weights, 1 - weights))
    levels = smoothed(evidence_levels(inside, outside).take(bins), _NEIGHBOURS)
    return located + levels * LOGIT_OF_A_LEVEL > 0
