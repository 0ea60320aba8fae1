"""Options that take a list: words parted by commas."""

from collections.abc import Sequence

from segmint.errors import ConfigError


def split_list(text: str | None) -> list[str] | None:
    """`"boat, tree"` as its parts, in order, doubled ones too: places can mean ids. None stays None."""
    return None if text is None else [part for each in text.split(",") if (part := each.strip())]


def parts(text: str, option: str, known: Sequence[str] = ()) -> list[str]:
    """The parts of a list that may not be empty, each once.

    Args:
        text: what the user wrote.
        option: its name, for the message.
        known: the words that are allowed; empty allows any.

    Raises:
        ConfigError: there is no part, or one that is not known.
    """
    found = list(dict.fromkeys(split_list(text) or ()))
    if not found:
        raise ConfigError(f"{option} is empty; give one value or more, parted by commas")
    return [one_of(each, option, known) for each in found] if known else found


def one_of(text: str, option: str, known: Sequence[str]) -> str:
    """The word, where it is one of those.

    Raises:
        ConfigError: it is not.
    """
    if text not in known:
        raise ConfigError(f"{option} {text!r}; expected {', '.join(known)}")
    return text


def whole_numbers(text: str, option: str, *, least: int = 0) -> list[int]:
    """The parts of a list of whole numbers.

    Raises:
        ConfigError: there is no part, or one that is no whole number of at least `least`.
    """
    try:
        found = [int(each) for each in parts(text, option)]
    except ValueError:
        raise ConfigError(f"{option} {text!r}; expected whole numbers, for example 1,2,3") from None
    if min(found) < least:
        raise ConfigError(f"{option} {text!r}; expected whole numbers of at least {least}")
    return found
