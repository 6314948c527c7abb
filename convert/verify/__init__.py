"""The parity check: may the candidate file replace the reference? It runs on a device, without TensorFlow."""
