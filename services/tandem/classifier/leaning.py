"""Tells whether a turn means something by itself, or leans on what was said before it."""

from __future__ import annotations

import re
from typing import Final

SHORT_CHARACTERS: Final = 40
"""Longest turn that can be an approval."""
SCRAP_WORDS: Final = 1
"""Most words of a scrap; a Chinese character counts half."""
CORRECTION_CHARACTERS: Final = 200
"""Longest turn that corrects or refers back; a longer one says what it wants."""
FOLLOWING_WORDS: Final = 8
"""Most words of a turn that goes on with "and", "what about", 那……呢."""

_WORD: Final = re.compile(r"[a-z]+")
_HAN: Final = re.compile("[\u4e00-\u9fff]")
_DIGIT: Final = re.compile(r"\d")
_NOT_LETTERS: Final = re.compile(r"[\W_]+")
_APPROVING_WORDS: Final = frozenset(
    _WORD.findall(
        "yes yeah yep yup ok okay sure please go ahead continue proceed do it that this sounds good great fine perfect "
        "right correct agreed exactly more on next and then carry keep going lets let s of course the both all again"
    )
)
_APPROVING_PIECES: Final = re.compile(
    "请?继续(?:说下去|说|写|吧)?|接着(?:说|讲|写)?|往下(?:说|写)?|下一步|没问题|没错|当然|可以的?|好[的吧啊]?|[是对行]的?|同意"
    "|开始吧|[嗯请吧呀啊了]"
)
_CLOSING: Final = (
    "thank",
    "thx",
    "bye",
    "hello",
    "hi ",
    "hey",
    "no thank",
    "谢",
    "再见",
    "你好",
    "您好",
    "不用了",
)
"""Such a turn stands for itself, however short it is."""
_RESETTING: Final = re.compile(
    r"(?:new|another|different|unrelated|separate|next) (?:question|topic|task|subject)"
    r"|change (?:the )?(?:topic|subject)|something else|never ?mind|换个?(?:话题|问题)|另一个问题|另外问|别的问题|算了",
    re.IGNORECASE,
)
_CORRECTING: Final = re.compile(
    r"^\W*(?:no[,.!;: ]+(?:i|it|that|this|you|the|not|wrong)\b|nope\b|wrong\b|incorrect\b"
    r"|not (?:quite|what|correct|right)\b"
    r"|(?:that|this|it)(?:['’]?s| is| was)(?: still)? (?:not|wrong|incorrect|false)\b|you(?:['’]re| are) wrong"
    r"|you (?:made|forgot|missed|misread|misunderstood)|i (?:meant|mean|said)\b|sorry, i mean"
    r"|(?:please )?(?:try|do|check|redo)(?: it| that| this)? again|redo\b|there(?:['’]s| is) an? (?:mistake|error)"
    r"|(?:不对|不是(?:的|这)|错了|你?(?:算|写|说|弄|理解|搞)错|有(?:个)?错误|我(?:的意思)?是说|我是指|我的意思|应该是|应为|再(?:试|想|算|检查)"
    r"|重新|重(?:来|做|写|算)))",
    re.IGNORECASE,
)
_REFERRING: Final = re.compile(
    r"\b(?:the above|above|previous (?:answer|one|question)"
    r"|your (?:answer|proof|solution|code|result|reply|explanation)"
    r"|(?:rewrite|summari[sz]e|translate|simplify|shorten|explain|solve|fix|check|repeat|prove|expand|improve|finish|redo"
    r"|elaborate on|make) (?:it|that|this|them)|(?:more|less) (?:detail|detailed|formal|concise|rigorous)(?:ly)?)\b"
    r"|上面|上述的?(?:回答|答案|证明|代码)|前面的|刚才|刚刚|你的(?:回答|答案|证明|代码|结论)|再(?:说|讲|来|解释|写|详细)|换(?:一种|个)(?:方法|说法|方式)"
    r"|(?:更|再)?(?:详细|简单|简短|短|具体|严谨)(?:一)?[点些]|(?:翻译|总结|解释|证明|简化|检查|修改|改写)(?:一下)?(?:它|这|那|上)",
    re.IGNORECASE,
)
_FOLLOWING: Final = re.compile(
    r"^\W*(?:(?:and|but|so|then)\b|what (?:about|if)\b|how (?:about|so|come)\b|why\b|in that case"
    r"|那.{0,16}呢|然后呢|所以呢|还有呢"
    r"|为什么[？?。]*$|为何|怎么会)",
    re.IGNORECASE,
)


def leans_back(text: str) -> bool:
    """Tell whether a turn means nothing, or less than it says, without the one before."""
    if len(text) > CORRECTION_CHARACTERS or _RESETTING.search(text):
        return False
    bare = _bare(text)
    if bare.startswith(_CLOSING):
        return False
    if _approves(bare) or _CORRECTING.match(text) or _REFERRING.search(text):
        return True
    words = _words(bare)
    return words <= SCRAP_WORDS or (words <= FOLLOWING_WORDS and _FOLLOWING.match(text) is not None)


def says_nothing(text: str) -> bool:
    """Tell whether a turn only approves or asks to go on, so that it adds nothing to what it leans on."""
    return _approves(_bare(text[: SHORT_CHARACTERS + 1]))


def _bare(text: str) -> str:
    return _NOT_LETTERS.sub(" ", f"{text} ").lower().lstrip()


def _words(bare: str) -> float:
    """Return how many words there are; a number is one that says more than any scrap."""
    numbers = SCRAP_WORDS + 1 if _DIGIT.search(bare) else 0
    return numbers + len(_WORD.findall(bare)) + len(_HAN.findall(bare)) / 2


def _approves(bare: str) -> bool:
    if len(bare) > SHORT_CHARACTERS or _DIGIT.search(bare):
        return False
    return _APPROVING_WORDS.issuperset(_WORD.findall(bare)) and not _HAN.search(
        _APPROVING_PIECES.sub("", bare)
    )
