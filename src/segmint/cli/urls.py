"""Which commands work on runs in object stores, and what the others say."""

import re
from collections.abc import Sequence

ON_URLS = frozenset({"generate", "label", "verify", "export", "remask", "doctor"})
"""Commands that take `s3://…` where they take a run folder; the others read many small files at random and
need the run on a disk of this machine.
"""
_URL = re.compile(r"(?!https?:|file:)[a-z][a-z0-9+.-]+://\S+", re.IGNORECASE)


def refuse_urls(words: Sequence[str]) -> None:
    """Stop a command that would take a URL for a path.

    Raises:
        RunError: the first URL among the words; says how to fetch it.
    """
    url = next((word for word in words[1:] if _URL.fullmatch(word)), None)
    if url is not None and words[0] not in ON_URLS:
        from segmint.runs.files.remote import local_folder

        local_folder(url, f"segmint {words[0]}")
