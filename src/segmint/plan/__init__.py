"""What to make: classes, prompts, photographs."""
