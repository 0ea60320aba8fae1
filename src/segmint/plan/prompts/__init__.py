"""What to draw: class presets, planned prompts, and readers of prompt files."""
