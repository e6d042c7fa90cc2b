"""The rows by turn: a question asked first, approved again in a second turn, or asked after something else.

MT-Bench's conversations have a second turn of their own; where it is, both turns are measured. The other tables have
one turn each, so a second is made: a go-ahead must be routed as what it approves, a new question as if it came first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from routing_bench.contenders import learn
from routing_bench.corpus import Corpus, RowMissing
from routing_bench.gains import FOREIGN, foreign
from routing_bench.protocol import Outcome, apgr, interval
from routing_bench.row import Row
from routing_bench.signals import SHARE, Fold, scores, share
from tandem.classifier.conversation import read
from tandem.v1 import types_pb2

FIRST: Final = "turn 1"
APPROVED: Final = "turn 2, go on"
ANEW: Final = "turn 2, another question before"
_GO_ON: Final = {
    "en": ("I can work this out step by step. Shall I go on?", "Yes, please continue."),
    "zh": ("我可以一步一步来解答。要继续吗？", "继续"),
}
_ANSWERED: Final = {"en": "The answer is the first one.", "zh": "答案是第一个。"}


def turns(folds: Sequence[Fold]) -> list[Row]:
    """Return the APGR at each turn over the tables, and how often the route at a second turn is not that at the first.

    Raises:
        RowMissing: there is no table.
    """
    if not folds:
        raise RowMissing("no table to ask twice")
    scored = [by_turn(fold) for fold in folds]
    rows = [
        _slice(turn, [Outcome(each[turn], *fold.qualities) for fold, each in zip(folds, scored, strict=True)])
        for turn in (FIRST, APPROVED, ANEW)
    ]
    for turn in (APPROVED, ANEW):
        turned = np.concatenate([_turned(each[FIRST], each[turn]) for each in scored])
        rows.append(share(f"route flips, {turn}", turned, None))
    return rows


def by_turn(fold: Fold) -> dict[str, NDArray[np.float32]]:
    """Return the scores of a fold's questions at each turn."""
    others = [*fold.texts[1:], fold.texts[0]]
    offer, go_on = _GO_ON[fold.language]
    asked = {
        FIRST: [[text] for text in fold.texts],
        APPROVED: [[text, offer, go_on] for text in fold.texts],
        ANEW: [
            [other, _ANSWERED[fold.language], text] for text, other in zip(fold.texts, others, strict=True)
        ],
    }
    return {turn: _scored(fold, said) for turn, said in asked.items()}


def judged_turns(corpus: Corpus) -> list[Row]:
    """Return the APGR on MT-Bench at its first and at its second turn.

    Raises:
        RowMissing: the folders have no MT-Bench, or no second turns.
    """
    table = corpus.source("mtbench").table
    places = corpus.measured("mtbench")
    if not table.second:
        raise RowMissing("no second turns in mtbench")
    learning = corpus.transfer(foreign(corpus, FOREIGN, "mtbench"), "mtbench", assumed=True)
    texts = [table.texts[row] for row in places]
    fold = Fold(
        corpus, learn(learning), texts, table.language, learning.trust, (learning.weak, learning.strong)
    )
    said = {
        "MT-Bench, turn 1": [[text] for text in texts],
        "MT-Bench, turn 2": [[text, "", table.second[row]] for text, row in zip(texts, places, strict=True)],
    }
    return [
        _slice(turn, [Outcome(_scored(fold, conversations), *fold.qualities)])
        for turn, conversations in said.items()
    ]


def _scored(fold: Fold, conversations: Sequence[Sequence[str]]) -> NDArray[np.float32]:
    return scores(fold, [read(_messages(said)).question for said in conversations])


def _messages(said: Sequence[str]) -> list[types_pb2.Message]:
    roles = (types_pb2.ROLE_USER, types_pb2.ROLE_ASSISTANT)
    return [
        types_pb2.Message(role=roles[at % 2], parts=[types_pb2.Part(text=text)])
        for at, text in enumerate(said)
    ]


def _slice(turn: str, outcomes: list[Outcome]) -> Row:
    low, high = interval(outcomes)
    value = float(np.nanmean([apgr(each) for each in outcomes]))
    return Row(f"slice, {turn}", value, low, high, more={"questions": sum(map(len, outcomes))})


def _turned(before: NDArray[np.float32], after: NDArray[np.float32]) -> NDArray[np.bool_]:
    edge = np.quantile(before, 1 - SHARE)
    found: NDArray[np.bool_] = (before >= edge) != (after >= edge)
    return found
