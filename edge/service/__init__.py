"""`cli service`: runs the camera app from the start of the machine, under systemd."""
