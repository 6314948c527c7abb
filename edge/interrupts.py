"""Makes sure that Ctrl-C ends a program, whatever Python is doing at that moment."""

import signal
import sys
import threading

# Seconds until an interrupt that was lost is raised again; what lost it has returned by then.
_DELAY = 0.05


def raise_lost_interrupts_again() -> None:
    """Raises KeyboardInterrupt again where Python could only report it; call it once, in the main thread.

    Python looks for signals between any two of its instructions. In a finalizer or in the callback of a weak
    reference, of which an import runs many, an exception cannot be raised: Python prints "Exception ignored
    in" and goes on, so the program would not notice that Ctrl-C was pressed.
    """
    report = sys.unraisablehook

    def report_or_interrupt(unraisable: "sys.UnraisableHookArgs") -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            again = threading.Timer(_DELAY, _interrupt)
            again.daemon = True
            again.start()
        else:
            report(unraisable)

    sys.unraisablehook = report_or_interrupt


def _interrupt() -> None:
    """Sends SIGINT to the main thread, so that it also ends a wait in the operating system."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:  # Windows
        signal.raise_signal(signal.SIGINT)
