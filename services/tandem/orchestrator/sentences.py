"""Where a text may end: after a sentence, in Chinese and in English."""

from __future__ import annotations

import re
from typing import Final

# A full stop within a number or a name is followed by no white space. What may follow the mark closes what the
# sentence is in: quotation marks and brackets.
_CLOSING: Final = "\"'”’»)\\]）】」』》*_"
_CHINESE: Final = rf"[。！？；…]+[{_CLOSING}]*"
_LATIN: Final = rf"[.!?]+[{_CLOSING}]*"
_END: Final = re.compile(rf"{_CHINESE}|{_LATIN}(?=\s)|\n")
_END_OF_TEXT: Final = re.compile(rf"(?:{_LATIN})\Z")


def end_of_last_sentence(text: str, complete: bool) -> int:
    """Return the number of characters up to the end of the last whole sentence; 0 if there is none.

    Args:
        text: what was said.
        complete: nothing follows, so that a full stop at the end of the text ends a sentence.
    """
    if complete and _END_OF_TEXT.search(text):
        return len(text)
    end = 0
    for match in _END.finditer(text):
        end = match.end()
    return end
