"""`cli doctor`: checks of the machine, each of which says that all is well or what to do.

Nothing here imports NumPy, OpenCV or the runtime in this process, because the doctor must also run where one
of them is broken: they are imported in child processes.
"""
