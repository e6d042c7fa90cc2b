"""Finds what is asked in a conversation.

The last turn of the user is the question. What leans on an earlier turn ("yes", "继续", a correction, "and why?") asks
for what it leans on, so it is read together with that; and an approval with the offer that it approves.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from tandem.classifier.courtesy import without_courtesy
from tandem.classifier.leaning import leans_back, offers_nothing, says_nothing
from tandem.classifier.sample import ends
from tandem.v1 import types_pb2

OFFER_CHARACTERS: Final = 300
"""Longest offer at the end of an assistant's turn."""
CONTEXT_CHARACTERS: Final = 2000

_SENTENCE_END: Final = re.compile(r"[.!。！\n]")
_OFFER: Final = re.compile(r"[?？]\W*$")


class Conversation(NamedTuple):
    """What is asked, and what the system prompt says; both cut to a bounded length."""

    question: str
    context: str
    characters: int
    """Length of the question before it was cut."""

    @property
    def request(self) -> tuple[str, int]:
        """The question without courtesy at its edges, and how long that was before it was cut."""
        text = without_courtesy(self.question)
        return text, self.characters - len(self.question) + len(text)


def read(messages: Sequence[types_pb2.Message]) -> Conversation:
    """Return what a conversation of at least one message asks."""
    at = _last_user(messages)
    text, characters = _text(messages[at])
    pieces = [text]
    before = _previous_user(messages, at)
    # Most requests have one turn, which has nothing to lean on.
    answered = at > 0 and messages[at - 1].role == types_pb2.ROLE_ASSISTANT
    leaning = (answered or before is not None) and leans_back(text)
    if leaning and answered and says_nothing(text):
        offer = _offer(_text(messages[at - 1])[0])
        pieces = [offer] if offer or before is not None else [text]
    while leaning and before is not None:
        text, more = _text(messages[before])
        before = _previous_user(messages, before)
        leaning = before is not None and leans_back(text)
        if not leaning or not says_nothing(text):
            pieces.append(text)
            characters += more
    system = [_text(message)[0] for message in messages[:] if message.role == types_pb2.ROLE_SYSTEM]
    return Conversation(
        question=ends("\n".join(piece for piece in reversed(pieces) if piece)),
        context=ends("\n".join(system), CONTEXT_CHARACTERS),
        characters=characters,
    )


def _last_user(messages: Sequence[types_pb2.Message]) -> int:
    found = _previous_user(messages, len(messages))
    return len(messages) - 1 if found is None else found


def _previous_user(messages: Sequence[types_pb2.Message], end: int) -> int | None:
    """Return where the user spoke last before `end`; None: nowhere."""
    return next((at for at in range(end - 1, -1, -1) if messages[at].role == types_pb2.ROLE_USER), None)


def _offer(text: str) -> str:
    """Return the question at the end of an assistant's turn; empty: there is none, or only one to go on."""
    end = text[-OFFER_CHARACTERS:].rstrip()
    offer = _SENTENCE_END.split(end)[-1].strip() if _OFFER.search(end) else ""
    return "" if offers_nothing(offer) else offer


def _text(message: types_pb2.Message) -> tuple[str, int]:
    """Return the text of a message, its documents included, cut to a bounded length, and how long it is."""
    texts = [part.text for part in message.parts[:] if part.HasField("text")]
    if len(texts) == 1:
        return ends(texts[0]), len(texts[0])
    return ends("\n".join(map(ends, texts))), sum(map(len, texts))
