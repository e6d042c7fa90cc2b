"""Would catch a prompt that is kept unasked, feedback about the wrong answer, and labels that are made up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from operator import itemgetter
from pathlib import Path

import pytest
from sqlalchemy import func, select

from tandem.conversation_json import from_json, to_json
from tandem.ledger import pruning
from tandem.ledger.entry import Entry
from tandem.ledger.feedback import Feedback, FeedbackInvalid, add_feedback, read_feedback
from tandem.ledger.labelled import Draft, Judged, MeanTokens, drafts, judged, labelled, mean_tokens
from tandem.ledger.opening import open_ledger
from tandem.ledger.rows import MOST_PROMPT_CHARACTERS
from tandem.ledger.schema import reading
from tandem.ledger.tables import prompts
from tandem.v1 import types_pb2
from tests.fakes.calls import image, user
from tests.fakes.entries import START, Tokens, entry, url_of

DAY = timedelta(days=1)


def asked(request_id: str, text: str = "", tier: str = "r1", age: timedelta = timedelta()) -> Entry:
    """Return an entry with signals; its conversation is kept if it has a text."""
    made = entry(request_id, [Tokens(tier)], age=age)
    made.answer.signals.r1_suffices.value = 0.5
    made.answer.signals.language.value = "zh"
    made.answer.signals.domain.value = types_pb2.DOMAIN_LEGAL
    return made._replace(messages=[user(text)] if text else [])


def kept(folder: Path, entries: Sequence[Entry]) -> str:
    """Write entries; return the ledger's URL."""
    ledger = open_ledger(url_of(folder))
    for each in entries:
        ledger.write(each)
    asyncio.run(ledger.close())
    return url_of(folder)


def give(url: str, *given: Feedback) -> list[str]:
    with reading(url) as connection:
        return add_feedback(connection, given)


def pairs(url: str) -> list[tuple[str, float | None, float | None]]:
    with reading(url) as connection:
        found = list(labelled(connection))
    return sorted(
        ((each.messages[0].parts[0].text, each.r1_right, each.pro_right) for each in found), key=itemgetter(0)
    )


def count(url: str) -> int:
    with reading(url) as connection:
        return connection.execute(select(func.count()).select_from(prompts)).scalar_one()


def test_no_prompt_is_kept_unasked(tmp_path: Path) -> None:
    url = kept(tmp_path, [asked("a")])
    give(url, Feedback("a", 1.0, "human"))
    assert (count(url), pairs(url)) == (0, [])


def test_feedback_is_about_the_tier_that_answered_unless_it_says_otherwise(tmp_path: Path) -> None:
    url = kept(tmp_path, [asked("a", "一"), asked("b", "two", "pro"), asked("c", "three")])
    unknown = give(
        url,
        Feedback("a", 1.0, "human"),
        Feedback("a", -1.0, "judge", tier="pro"),
        Feedback("b", 1.0, "user"),
        Feedback("nobody", 1.0, "user"),
        Feedback("c", 1.0, "user", tenant="another"),
    )
    assert unknown == ["nobody", "c"]
    assert pairs(url) == [("two", None, 1.0), ("一", 1.0, 0.0)]


def test_the_most_trusted_is_believed(tmp_path: Path) -> None:
    url = kept(tmp_path, [asked("a", "one"), asked("b", "two")])
    give(url, *(Feedback("a", score, "user") for score in (1.0, 1.0, 1.0)), Feedback("a", -1.0, "human"))
    give(url, Feedback("b", 1.0, "user"), Feedback("b", 0.0, "user"))
    assert pairs(url) == [("one", 0.0, None), ("two", 0.75, None)]


def test_a_prompt_is_forgotten_with_its_request(tmp_path: Path) -> None:
    url = kept(tmp_path, [asked("old", "one", age=3 * DAY), asked("new", "two")])
    assert count(url) == 2
    with reading(url) as connection:
        assert pruning.prune(connection, START - DAY) == 1
    assert count(url) == 1


def test_what_is_too_long_or_made_elsewhere_is_not_kept(tmp_path: Path) -> None:
    shared = asked("b", "two")
    shared.answer.source_request_id = "a"
    url = kept(tmp_path, [asked("a", "x" * MOST_PROMPT_CHARACTERS), shared])
    assert count(url) == 0


def test_scores_need_no_prompts(tmp_path: Path) -> None:
    shared = asked("b")
    shared.answer.source_request_id = "a"
    unclassified = entry("c")
    url = kept(tmp_path, [asked("a"), shared, unclassified])
    give(url, Feedback("a", -1.0, "human"))
    with reading(url) as connection:
        assert list(judged(connection)) == [Judged(0.5, "zh", "legal", 0.0, None)]
        assert mean_tokens(connection) == {"r1": MeanTokens(10.0, 20.0)}


def test_feedback_lines() -> None:
    lines = ['{"request_id": "a", "right": false}', "", '{"request_id": "b", "score": 0.5, "tier": "pro"}']
    assert list(read_feedback(lines, "judge")) == [
        Feedback("a", -1.0, "judge"),
        Feedback("b", 0.5, "judge", "pro"),
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[]", "must be an object"),
        ('{"right": true}', "must be an object"),
        ('{"request_id": "a"}', "needs right"),
        ('{"request_id": "a", "score": 2}', "from -1 to 1"),
        ('{"request_id": "a", "right": true, "source": "me"}', "source must be one of user, judge, human"),
        ("{", "line 1: "),
    ],
)
def test_feedback_that_cannot_be_read(line: str, said: str) -> None:
    with pytest.raises(FeedbackInvalid, match=said):
        list(read_feedback([line], "human"))


def test_conversations_come_back_without_their_pictures() -> None:
    written = [{"role": "system", "text": "be brief"}, {"role": "user", "text": "为什么?"}]
    assert to_json(from_json(written)) == written
    assert to_json(from_json([{"role": "user", "content": "why?"}])) == [{"role": "user", "text": "why?"}]
    assert to_json([image()]) == [{"role": "user", "text": ""}]


@pytest.mark.parametrize("value", [{}, [], [{"role": "robot", "content": ""}], [{"role": "user"}], ["hi"]])
def test_other_forms_are_refused(value: object) -> None:
    with pytest.raises((TypeError, ValueError), match="message"):
        from_json(value)


def drafted(request_id: str, *, escalated: bool = False) -> Entry:
    """Return the entry of a cascade."""
    made = entry(request_id, [Tokens("r1"), *([Tokens("pro")] if escalated else [])])
    made.answer.signals.r1_suffices.value = 0.5
    made.answer.attempts[0].confidence = 0.75
    if escalated:
        made.answer.attempts[1].purpose = types_pb2.ATTEMPT_PURPOSE_ESCALATION
        made.answer.attempts[1].confidence = 0.99
        made.answer.gate.probability, made.answer.gate.agreement = 0.3, 0.25
    return made


def test_drafts_with_a_verdict_of_their_own(tmp_path: Path) -> None:
    failed = drafted("failed")
    failed.answer.attempts[0].outcome = types_pb2.ATTEMPT_OUTCOME_TIMEOUT
    first = drafted("kept")._replace(started_at=START - DAY)
    url = kept(tmp_path, [first, drafted("sent on", escalated=True), drafted("unjudged"), failed])
    give(
        url,
        Feedback("kept", 1.0, "human"),
        Feedback("sent on", -1.0, "human", tier="r1"),
        Feedback("sent on", 1.0, "human"),  # about the answer that was given: Pro's
        Feedback("failed", 1.0, "human"),
    )
    with reading(url) as connection:
        assert list(drafts(connection)) == [Draft(0.75, 0.5, None, 1.0), Draft(0.75, 0.5, 0.25, 0.0)]
