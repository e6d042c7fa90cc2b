"""Finds what is asked in a conversation.

The last turn of the user is the question. An approval ("yes", "继续") asks for what it approves, and a scrap ("why?")
asks about what came before, so both are read together with it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tandem.classifier.sample import ends
from tandem.v1 import types_pb2

SHORT_CHARACTERS: Final = 40
"""Longest turn that can be an approval or a scrap."""
SCRAP_WORDS: Final = 2
"""Most words of a scrap; a Chinese character counts half."""
PROPOSAL_CHARACTERS: Final = 400
"""The end of an assistant's turn, where it says what it would do next."""
CONTEXT_CHARACTERS: Final = 2000
CONTEXT_TURNS: Final = 4

_WORD: Final = re.compile(r"[a-z]+")
_HAN: Final = re.compile("[\u4e00-\u9fff]")
_NOT_LETTERS: Final = re.compile(r"[\W_]+")
_APPROVING_WORDS: Final = frozenset(
    _WORD.findall(
        "yes yeah yep yup ok okay sure please go ahead continue proceed do it that this sounds good great fine perfect "
        "right correct agreed exactly more on next and then carry keep going lets let s of course the both all again"
    )
)
_APPROVING_PIECES: Final = re.compile(
    "请?继续(?:说下去|说|吧)?|接着(?:说|讲)?|往下说?|下一步|没问题|没错|当然|可以的?|好[的吧啊]?|[是对行]的?|同意|开始吧|[嗯请吧呀啊了]"
)
_CLOSING: Final = ("thank", "thx", "bye", "hello", "hi ", "hey", "谢", "再见", "你好", "您好")
"""Such a turn stands for itself, however short it is."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """What is asked, and what was said around it; both cut to a bounded length."""

    question: str
    context: str


def read(messages: Sequence[types_pb2.Message]) -> Conversation:
    """Return what the conversation asks."""
    at = _last_user(messages)
    pieces = [_text(messages[at])]
    leaning = _leans_back(pieces[0])
    while leaning and at > 0 and messages[at - 1].role != types_pb2.ROLE_SYSTEM:
        at -= 1
        text = _text(messages[at])
        if _is_user(messages[at]):
            pieces.append(text)
            leaning = _leans_back(text)
        else:
            pieces.append(text[-PROPOSAL_CHARACTERS:])
    around = [message for message in messages[:at] if message.role != types_pb2.ROLE_ASSISTANT]
    return Conversation(
        question=ends("\n".join(reversed(pieces))),
        context=ends("\n".join(_text(message) for message in _kept(around)), CONTEXT_CHARACTERS),
    )


def _kept(messages: Sequence[types_pb2.Message]) -> Sequence[types_pb2.Message]:
    """Return the first message, which is where the system speaks, and the last ones."""
    return messages if len(messages) <= CONTEXT_TURNS else [messages[0], *messages[1 - CONTEXT_TURNS :]]


def _is_user(message: types_pb2.Message) -> bool:
    return message.role == types_pb2.ROLE_USER


def _last_user(messages: Sequence[types_pb2.Message]) -> int:
    for at in range(len(messages) - 1, -1, -1):
        if _is_user(messages[at]):
            return at
    return len(messages) - 1


def _text(message: types_pb2.Message) -> str:
    return ends("\n".join(ends(part.text) for part in message.parts if part.HasField("text")))


def _leans_back(text: str) -> bool:
    """Tell whether a turn means nothing without the one before."""
    if len(text) > SHORT_CHARACTERS:
        return False
    bare = _NOT_LETTERS.sub(" ", f"{text} ").lower().lstrip()
    if bare.startswith(_CLOSING):
        return False
    words, characters = _WORD.findall(bare), len(_HAN.findall(bare))
    return len(words) + characters / 2 <= SCRAP_WORDS or _approves(bare, words)


def _approves(bare: str, words: Sequence[str]) -> bool:
    return _APPROVING_WORDS.issuperset(words) and not _HAN.search(_APPROVING_PIECES.sub("", bare))
