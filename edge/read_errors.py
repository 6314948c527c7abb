"""The errors that Python's libraries raise for a damaged or hostile file."""

import struct
import zipfile
import zlib

# What zipfile, zlib, NumPy, Pillow and json raise. Code that reads files turns these into an error of
# `edge.errors`. They are kept apart from those, which every start of the command line imports.
READ_ERRORS = (
    OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError, EOFError,
    MemoryError, SyntaxError, struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
