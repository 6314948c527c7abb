"""The shipped models and their cards, as package data."""
