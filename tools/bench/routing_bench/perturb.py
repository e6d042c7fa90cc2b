"""Says a question a little differently, without changing what is asked."""

from __future__ import annotations

import random
import re
from typing import Final, Literal

Kind = Literal["typos", "spacing and case", "politeness"]

KINDS: Final[tuple[Kind, ...]] = ("typos", "spacing and case", "politeness")
TYPOS: Final = 0.02
"""Part of the words that get a typo, one at least."""
_CHINESE: Final = re.compile("[\u4e00-\u9fff]")
_WORD: Final = re.compile("[A-Za-z]{4,}")
_IDEOGRAPHS: Final = re.compile("[\u4e00-\u9fff]{2}")


def perturbed(text: str, kind: Kind, seed: int) -> str:
    """Return the text with a change of this kind, drawn from the seed."""
    draw = random.Random(seed)  # noqa: S311  # chance that can be repeated
    if kind == "typos":
        return _typos(text, draw)
    if kind == "politeness":
        return _polite(text, draw)
    return _spaced(text, draw)


def _typos(text: str, draw: random.Random) -> str:
    """Swap two neighbouring letters, or ideographs, within words."""
    words = [found.span() for found in (*_WORD.finditer(text), *_IDEOGRAPHS.finditer(text))]
    letters = list(text)
    for start, end in draw.sample(words, min(len(words), max(1, round(TYPOS * len(words))))):
        at = draw.randrange(start, end - 1)
        letters[at], letters[at + 1] = letters[at + 1], letters[at]
    return "".join(letters)


def _spaced(text: str, draw: random.Random) -> str:
    """Change blanks, line ends and the case of the first letter, or of all."""
    change = draw.randrange(4)
    if change == 0:
        return f"  {text.replace(' ', '  ')}\n"
    if change == 1:
        return text[:1].swapcase() + text[1:] + " "
    if change == 2:
        return text.lower()
    return re.sub(r"([,，.。:：])(?=\S)", r"\1 ", text)


def _polite(text: str, draw: random.Random) -> str:
    if _CHINESE.search(text):
        before, after = draw.choice(
            [("请问，", ""), ("您好，", "谢谢！"), ("", "\n谢谢。"), ("麻烦您看一下：", "")]
        )
    else:
        before, after = draw.choice(
            [
                ("Please help: ", ""),
                ("Hi! ", "\nThanks!"),
                ("", "\nThank you."),
                ("Could you answer this, please? ", ""),
            ]
        )
    return f"{before}{text}{after}"
