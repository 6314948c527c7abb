"""Tests of loading OpenCV: errors if it is missing or was built for another NumPy, and its threads."""

import sys

import numpy as np
import pytest

from garmentlite.edge.errors import MissingPartError
from garmentlite.edge.opencv import load_opencv, use_one_thread

# What OpenCV 4.6 of Debian 12 does under NumPy 2: NumPy prints a page and OpenCV raises the error.
BUILT_FOR_NUMPY_1 = """
import sys
sys.stderr.write("A module that was compiled using NumPy 1.x cannot be run in NumPy 2\\n")
raise ImportError({text!r})
"""


def test_load_opencv_without_it_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingPartError, match=r"pip install 'garmentlite\[headless\]'"):
        load_opencv()


@pytest.mark.skipif(np.__version__ < "2", reason="the advice is for an environment with NumPy 2")
@pytest.mark.parametrize(
    "text", ["numpy.core.multiarray failed to import", "AttributeError: _ARRAY_API not found"]
)
def test_load_opencv_built_for_numpy_1_says_to_install_that(run_python, tmp_path, text):
    (tmp_path / "cv2.py").write_text(BUILT_FOR_NUMPY_1.format(text=text))
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from garmentlite.edge.errors import MissingPartError\n"
        "from garmentlite.edge.opencv import load_opencv\n"
        "try:\n"
        "    load_opencv()\n"
        "except MissingPartError as error:\n"
        "    print(error)"
    )
    result = run_python("-c", code)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == (
        "OpenCV cannot be loaded because it was built for NumPy 1 and this environment has NumPy "
        f"{np.__version__}; run \"pip install 'numpy<2'\" in this environment.\n"
    )


def test_use_one_thread_sets_opencv_and_is_silent_without_it(monkeypatch):
    cv2 = load_opencv()
    cv2.setNumThreads(2)
    use_one_thread()
    assert cv2.getNumThreads() == 1
    monkeypatch.setitem(sys.modules, "cv2", None)
    use_one_thread()
