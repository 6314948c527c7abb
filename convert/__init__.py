"""From a trained network to files for a device: folding, quantization, export formats, cards, C source."""
