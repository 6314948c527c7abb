"""Waiting for what another thread or process does. Nothing else is sure on a loaded machine."""

import time

PATIENCE_S = 60  # for what takes less than one second on an idle machine


def wait_until(is_reached, what):
    """Waits for a condition, and fails if it does not come true."""
    end = time.monotonic() + PATIENCE_S
    while not is_reached():
        assert time.monotonic() < end, f"this did not happen: {what}"
        time.sleep(0.02)
