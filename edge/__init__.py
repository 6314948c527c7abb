"""Everything the device runs: pictures, preparation, the int8 classifier, cameras.

Imports NumPy and the standard library at once; Pillow, OpenCV and the LiteRT runtime where they are
first needed; TensorFlow, Keras and JAX never.
"""
