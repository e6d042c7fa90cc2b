"""The one text that several attempts write: joined without a gap, a repetition or anything after its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tandem.orchestrator.sentences import end_of_last_sentence

MOST_HELD: Final = 1000
"""Characters without the end of a sentence after which text is shown all the same."""


class Joined:
    """An answer while attempts add to it."""

    def __init__(self) -> None:
        self.text = ""
        """What was shown."""
        self.reasoning = ""
        """What was thought, by all attempts."""
        self.tokens = 0
        """Tokens made by the attempts so far."""
        self.complete = False
        """True when a stop string across a seam has ended the answer."""
        self._held = ""
        self._holds = False
        self._seam = 0
        self._stop: tuple[str, ...] = ()

    @property
    def begun(self) -> bool:
        """Whether the client has seen anything of the answer."""
        return bool(self.text or self.reasoning)

    @property
    def has_text(self) -> bool:
        """Whether there is any text, shown or held back."""
        return bool(self.text or self._held)

    @property
    def shown_tokens(self) -> int:
        """Tokens that the text shown so far has taken, with everything thought before it."""
        return self.tokens if self.text else 0

    def attempt(self, stop: Sequence[str], whole_sentences: bool) -> None:
        """Begin a further attempt.

        Args:
            stop: strings that end the answer.
            whole_sentences: show nothing but whole sentences: the attempt may have to be cut off.
        """
        self._held, self._holds = "", whole_sentences
        self._seam, self._stop = len(self.text), tuple(stop)

    def add(self, text: str) -> str:
        """Add what a model wrote; return what is to be shown now."""
        text = self._until_stop(text)
        if not self._holds:
            return self._show(text)
        self._held += text
        end = end_of_last_sentence(self._held, complete=False)
        if len(self._held) - end > MOST_HELD:
            end = len(self._held)
        released, self._held = self._held[:end], self._held[end:]
        return self._show(released)

    def end(self, cut: bool) -> str:
        """End the attempt; return what is still to be shown.

        An answer that was cut off loses the sentence that it did not finish, unless that is all it has.
        """
        end = len(self._held)
        if cut and self._holds:
            end = end_of_last_sentence(self._held, complete=True)
            if not end and len(self.text) == self._seam:
                end = len(self._held)
        released, self._held = self._held[:end], ""
        return self._show(released)

    def _show(self, text: str) -> str:
        self.text += text
        return text

    def _until_stop(self, text: str) -> str:
        """Return the text, or nothing if it completes a stop string that began before the seam.

        A stop string behind the seam is the engine's business. What was shown of this one cannot be taken back.
        """
        longest = max(map(len, self._stop), default=0)
        behind = self.text[self._seam :] + self._held
        if self.complete or not self._seam or len(behind) >= longest - 1:
            return "" if self.complete else text
        before = self.text[max(0, self._seam - longest + 1) : self._seam]
        around = before + (behind + text)[: longest - 1]
        self.complete = any(_lies_across(stop, around, len(before)) for stop in self._stop)
        return "" if self.complete else text


def _lies_across(stop: str, text: str, seam: int) -> bool:
    """Whether a stop string begins before a place in a text and ends behind it.

    One that ends before it did not end the attempt that wrote it, and is nothing but text.
    """
    return text.find(stop, max(0, seam - len(stop) + 1), seam + len(stop) - 1) >= 0
