"""Calls a function in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any


def in_own_process(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Calls a function in a fresh process and returns its result.

    Trainings are called in this way, because Keras numbers the names of layers through a whole process and
    writes them into model.keras, so the second training in a process would give a file with another
    checksum than 'cli train' gives. And the memory of a network is given back only when its process ends.
    """
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments, **options).result()
