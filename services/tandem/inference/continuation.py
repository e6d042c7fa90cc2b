"""Going on from an answer that the user has already seen, without repeating or losing a character.

A prefix that ends in white space sits on a token boundary that models do not like: they tend to write the white space
again. So the prompt gets the prefix without it, and it is taken off the beginning of what comes.
"""

from __future__ import annotations


class Continuation:
    """One continued answer; make one for each attempt.

    Args:
        prefix: the text that was shown; may be empty.
    """

    def __init__(self, prefix: str) -> None:
        self.prompt_suffix = prefix.rstrip()
        """What follows the chat template in the prompt."""
        self._expected = prefix[len(self.prompt_suffix) :]

    def feed(self, text: str) -> str:
        """Return what of `text` is new."""
        while self._expected and text:
            if text[0] != self._expected[0]:
                self._expected = ""
                break
            text, self._expected = text[1:], self._expected[1:]
        return text
