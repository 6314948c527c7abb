"""Everything that a device runs: pictures, segmentation, preparation, the int8 classifier and cameras.

These modules import NumPy and the standard library at once. They import Pillow, OpenCV and the LiteRT runtime
when they are first needed, and never TensorFlow, Keras or JAX.
"""
