"""Run folders: where everything lies, what is written down, and how it gets there whole."""
