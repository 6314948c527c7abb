"""Sources of frames: each is a class in a module of its own; `registry` finds the one that is meant."""
