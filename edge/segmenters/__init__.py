"""Segmenters: each finds the garment in a picture, in a module of its own; `registry` knows their names."""
