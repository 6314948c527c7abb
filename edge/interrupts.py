"""Makes sure that Ctrl-C is not lost where Python can only report it."""

import signal
import sys
import threading
from contextlib import suppress
from types import FrameType

# Seconds until an interrupt that was lost is raised again; the callback that lost it has returned by then.
_DELAY = 0.05


def raise_lost_interrupts_again() -> None:
    """Raises KeyboardInterrupt again where Python could only report it; call it once, in the main thread.

    Python looks for signals between any two of its instructions. In a finalizer or in the callback of a weak
    reference, of which an import runs many, an exception cannot be raised: Python prints "Exception ignored
    in" and goes on, so the program would not notice that Ctrl-C was pressed.
    """
    report = sys.unraisablehook

    def report_or_interrupt(unraisable: "sys.UnraisableHookArgs") -> None:
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and issubclass(unraisable.exc_type, KeyboardInterrupt):
            _interrupt_soon()
        else:
            report(unraisable)

    sys.unraisablehook = report_or_interrupt


def _interrupt_soon() -> None:
    """Raises KeyboardInterrupt in the main thread after a moment, whatever handles SIGINT now.

    The handler that has raised the lost interrupt may ignore a second signal, so another one takes its place
    for this one signal.
    """
    handler = signal.getsignal(signal.SIGINT)

    def interrupt(number: int, frame: FrameType | None) -> None:
        again.cancel()  # the user may have pressed Ctrl-C in the meantime
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt

    again = threading.Timer(_DELAY, _send_interrupt)
    again.daemon = True
    signal.signal(signal.SIGINT, interrupt)
    with suppress(RuntimeError):  # Python is shutting down and starts no more threads
        again.start()


def _send_interrupt() -> None:
    """Sends SIGINT to the main thread, so that it also ends a wait in the operating system."""
    main = threading.main_thread().ident
    if main is not None and hasattr(signal, "pthread_kill"):
        signal.pthread_kill(main, signal.SIGINT)
    else:  # Windows
        signal.raise_signal(signal.SIGINT)
