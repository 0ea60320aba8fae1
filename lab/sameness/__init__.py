"""Proof that a refactor left what segmint makes as it was."""
