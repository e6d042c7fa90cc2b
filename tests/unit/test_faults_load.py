"""Would catch a load that loses questions, puts too many at a time, or misjudges how far it has come."""

from __future__ import annotations

import asyncio

from fault_matrix.load import Load
from fault_matrix.outcome import End, Outcome
from fault_matrix.question import Question, ask
from tandem.v1 import types_pb2


class Answering:
    """Answers everything rightly, and counts."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.running = self.most = 0

    async def ask(self, question: Question) -> Outcome:
        self.asked.append(question.prompt)
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0.001)
        self.running -= 1
        return Outcome(End.ANSWERED, 0.001, question.answer, types_pb2.FINISH_REASON_STOP)


async def test_every_question_is_put_once_and_so_many_at_a_time() -> None:
    questions = [ask(number, deadline_seconds=1.0) for number in range(50)]
    load, answering = Load(questions, at_once=7), Answering()
    reached: list[int] = []

    async def watch() -> None:
        for share in (0.2, 1.0):
            await load.until(share)
            reached.append(load.tally.sent)

    watching = asyncio.create_task(watch())
    await load.run(answering.ask)
    await watching

    assert answering.asked == [question.prompt for question in questions]
    assert answering.most == 7
    assert (load.tally.sent, load.tally.in_time) == (50, 50)
    assert 10 <= reached[0] < 20
    assert reached[1] == 50
