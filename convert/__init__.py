"""From a trained network to a proved int8 file: folding, quantization, export, the parity check."""
