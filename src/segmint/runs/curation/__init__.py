"""Decisions about a run's items."""
