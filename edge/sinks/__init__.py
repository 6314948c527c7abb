"""Sinks, where answers go: each is a class in a module of its own, and any number run side by side."""
