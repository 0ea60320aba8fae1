"""`python -m segmint.cli`, where the command itself is not on the path."""

from segmint.cli.main import run

run()
