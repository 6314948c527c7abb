"""Shares work out to all cores, with an interpreter for each thread.

The runtime lets go of Python's lock while it computes, so threads use the cores. One interpreter must never
run in two threads at a time.
"""

from __future__ import annotations

import os
import queue
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

import numpy as np

from garmentlite.edge.callbacks import OnProgress, ignore_progress
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.errors import ModelError

CHUNK = 250  # images between two progress reports: about a tenth of a second on a desktop computer

Worker = TypeVar("Worker")
Task = TypeVar("Task")
Result = TypeVar("Result")


def share_out(
    workers: Sequence[Worker],
    tasks: Sequence[Task],
    run: Callable[[Worker, Task], Result],
    on_done: OnProgress = ignore_progress,
) -> list[Result]:
    """Runs tasks in as many threads as there are workers; a worker is never used by two threads at once.

    If a task fails or the user presses Ctrl-C, tasks that have not begun are cancelled at once.

    Args:
        workers: What a thread needs for itself, such as interpreters; at least one.
        tasks: The tasks, begun in this order.
        run: Does one task with one worker.
        on_done: Called with the number of tasks done and their total, after each task, from the thread that
            called this function.

    Returns:
        The results in the order of the tasks, whatever the number of workers.
    """
    free: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    for worker in workers:
        free.put(worker)

    def run_with_a_free_worker(task: Task) -> Result:
        worker = free.get()
        try:
            return run(worker, task)
        finally:
            free.put(worker)

    pool = ThreadPoolExecutor(len(workers))
    try:
        running = [pool.submit(run_with_a_free_worker, task) for task in tasks]
        for done, finished in enumerate(as_completed(running), start=1):
            finished.result()
            on_done(done, len(tasks))
        return [one.result() for one in running]
    finally:
        pool.shutdown(cancel_futures=True)


def num_workers(num_tasks: int) -> int:
    """Computes how many workers to make: one for each core, but not more than there are tasks."""
    return max(1, min(num_tasks, os.cpu_count() or 1))


def copies_of(classifiers: Sequence[Classifier], count: int) -> list[list[Classifier]]:
    """Makes workers for `share_out`: the classifiers themselves, then copies read from their files.

    Args:
        classifiers: K classifiers that a worker needs together.
        count: How many workers are wanted.

    Returns:
        `count` lists of K classifiers, the given ones first; fewer if a file has changed since it was read.
    """
    workers = [list(classifiers)]
    while len(workers) < count:
        try:
            copies = [
                Classifier(
                    one.path,
                    labels=one.labels,
                    input_range=one.model_input.range,
                    kernels=one.kernels,
                )
                for one in classifiers
            ]
        except ModelError:
            break
        if any(copy.sha256 != one.sha256 for copy, one in zip(copies, classifiers, strict=True)):
            break
        workers.append(copies)
    return workers


def raw_outputs(
    classifiers: Sequence[Classifier],
    images_u8: np.ndarray,
    on_progress: OnProgress = ignore_progress,
) -> list[np.ndarray]:
    """Computes the raw outputs of one or several classifiers for the same images, on all cores.

    Args:
        classifiers: K classifiers; one that is named twice runs once.
        images_u8: uint8, shape (N, H, W) or (N, H, W, channels), of the size of all of them; N at least 1.
        on_progress: Called with the number of images done and their total.

    Returns:
        K arrays of shape (N, C), each of the type of its file's output; the same on any number of cores.
    """
    distinct = list({id(one): one for one in classifiers}.values())
    starts = range(0, len(images_u8), CHUNK)
    # All models advance together, so that none is left to run alone at the end.
    tasks = [(start, place) for start in starts for place in range(len(distinct))]

    def run(worker: list[Classifier], task: tuple[int, int]) -> np.ndarray:
        start, place = task
        return worker[place].raw_outputs(images_u8[start : start + CHUNK])

    def on_done(done: int, of: int) -> None:
        on_progress(done * len(images_u8) // of, len(images_u8))

    parts = share_out(copies_of(distinct, num_workers(len(tasks))), tasks, run, on_done)
    outputs = {
        id(one): np.concatenate(parts[place :: len(distinct)]) for place, one in enumerate(distinct)
    }
    return [outputs[id(one)] for one in classifiers]
