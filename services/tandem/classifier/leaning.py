"""Tells whether a turn means something by itself, or leans on what was said before it.

A turn leans if nothing in it is new: all of its words are those with which people agree, doubt, correct, refer and
steer. Or if it begins, or speaks, as corrections and continuations do. Anything else stands for itself.
"""

from __future__ import annotations

import re
from typing import Final

LONGEST: Final = 200
"""Characters of the longest turn that leans; a longer one says what it wants."""
FOLLOWING_WORDS: Final = 9
"""Most words of a turn that leans by its beginning; a Chinese character counts half."""

_WORD: Final = re.compile(r"[a-z]+")
_HAN: Final = re.compile("[\u4e00-\u9fff]")
_NOT_LETTERS: Final = re.compile(r"[\W_]+")
_CALCULATION: Final = re.compile(r"\d\s*[-+*/^=×÷]\s*[\d?？]")

_APPROVING: Final = frozenset(
    _WORD.findall(
        "yes yeah yep yup y k ok okay sure please go ahead continue proceed do it that this sounds good great "
        "fine perfect right correct agree agreed exactly absolutely definitely more on next and then carry "
        "keep going lets let s of course the both all again i for is what want thank thanks you"
    )
)
_OFFERING: Final = _APPROVING | frozenset(
    ("shall", "should", "would", "can", "may", "like", "me", "we", "to")
)
_STEERING: Final = _APPROVING | frozenset(
    _WORD.findall(
        "option part second first third last former latter one two three ones other another step line "
        "question point way approach method case example examples detail details detailed less short shorter "
        "brief long longer simple simpler simply formal formally clear clearer instead now same too also only "
        "still just really actually wait hmm oops sorry no not nope wrong incorrect false true error errors "
        "mistake mistakes think why how which me my you your we us its these those them they are was were be "
        "been am does did done can could would should will may might must have has had a an in at to from "
        "with without by as about into or but so if than out up down over there here above below previous "
        "earlier before after left off where answer answers proof solution result results code reply "
        "explanation version text sentence paragraph article passage function rest explain explained "
        "understand get got lost confused mean meant means say said tell show give make made try check redo write "
        "writing rewrite "
        "fix finish use using put add remove change translate summarize summarise simplify shorten expand "
        "elaborate improve repeat rephrase english chinese french german spanish japanese korean italian "
        "russian python java javascript sql rust table list bullet points words word terms term work works "
        "working doesn don t m re ve ll d isn wasn aren didn won couldn shouldn"
    )
)
_APPROVING_PIECES: Final = re.compile(
    "请?继续(?:写下去|说下去|说|写|吧)?|接着(?:说|讲|写|来)?|往下(?:说|写)?|下一步|没问题|没错|当然|可以的?|好[的吧啊]?|[是对行]的?|同意"
    "|开始吧|谢谢|[嗯请吧呀啊了都要]"
)
_STEERING_PIECES: Final = re.compile(
    r"继续|接着|往下|下去|下一步|然后|接下来|没问题|当然|可以|同意|开始|需要|麻烦|谢谢|第[一二三四五六七八九十\d]+[步个种问题行点]?|方案|选项?"
    "|前者|后者|为什么|为何|怎么|如何|什么|意思|明白|清楚|确定|理解|步骤|例子|举例|方法|方式|思路|过程|原因|详细|简单|简短|具体|严谨|完整|全部|剩下"
    "|其余|部分|最后|同样|一样|展开|补充|优化|上面|上述|前面|刚才|刚刚|之前|这里|那里|代码|证明|回答|答案|结果|问题|解释|说明|翻译|总结|概括|修改|检查"
    "|重新|应该|计算|正确|错误|这段|原文|全文|[中英法德日俄韩]文|[英法德日俄韩]语|西班牙语"
    "|[的了吧呢吗啊呀嘛哦嗯请我你您它他她这那个种点些一下再也还就都更太不没有是对错好行要想看说讲写做来给让把用成换改问算试懂举短长出能会得]"
)
_OFFERING_PIECES: Final = re.compile(f"{_APPROVING_PIECES.pattern}|需要|希望|[想不我你您吗呢么让]")

_GREETING: Final = re.compile(
    r"^\W*(?:(?:ok|okay|good|great|no)\W+)?(?:thank|thx|bye|hello|hi\b|hey\b|how are you|who are you|what can you do"
    r"|(?:好的?|嗯)?\W*谢|再见|你好|您好|不用了)",
    re.IGNORECASE,
)
_ONWARD: Final = re.compile(
    r"\b(?:continue|go on|go ahead|proceed|carry on|next)\b|继续|接着|下一步", re.IGNORECASE
)
"""Turns a greeting or thanks into an approval."""
_RESETTING: Final = re.compile(
    r"(?:new|another|different|unrelated|separate) (?:question|topic|task|subject)|change (?:the )?(?:topic|subject)"
    r"|something else|never ?mind|换个?(?:话题|问题)|另一个问题|另外问|别的问题|算了",
    re.IGNORECASE,
)
_CORRECTING: Final = re.compile(
    r"^\W*(?:(?:no|nope|wait|oops|sorry|actually|hmm|hm)\b"
    r"(?=\s*[,.;:!…-]|\s*$|\s+(?:i|it|that|this|you|the|not|wrong|there|no)\b)"
    r"(?!\W+(?:what|who|where|when|which|how|thank))|wrong\b|incorrect\b"
    r"|not (?:quite|what|correct|right)\b"
    r"|(?:that|this|it)(?:['’]?s| is| was)(?: still)? (?:not|wrong|incorrect|false)\b"
    r"|you(?:['’]re| are) wrong|you (?:made|forgot|missed|misread|misunderstood)|i (?:meant|mean|said|asked)\b"
    r"|(?:it |that |this )?(?:should|must) (?:not )?be\b|(?:please )?(?:try|do|check|redo)(?: it| that| this)? again"
    r"|(?:i think )?there(?:['’]s| is) an? (?:mistake|error)|(?:please )?(?:don['’]t|do not) use\b"
    r"|不是(?:\W|这|那|我|的|$)|错(?:了|\W|$)|这?不对|答案(?:不对|错|有误)|等等|等一下|你?(?:算|写|说|弄|理解|搞)错|有(?:个)?错误|我说错|我(?:的意思)?是说|我是指|我的意思"
    r"|我问的|我说的是|应该是|应为|(?:请)?(?:别|不要|不用)用)|(?:结果|答案|这里|这步|算)错了|重新(?:算|计算|写|做|来|回答|证明|检查)",
    re.IGNORECASE,
)
_REFERRING: Final = re.compile(
    r"\b(?:the above|above|previous (?:answer|one|question)|the same\b|your (?:answer|proof|solution|code|result|reply)"
    r"|(?:rewrite|summari[sz]e|translate|simplify|shorten|explain|solve|fix|check|repeat|prove|expand|improve|finish|redo"
    r"|elaborate on|expand on|make) (?:it|that|this|them)|(?:more|less) (?:detail|formal|concise|rigorous)\w*)\b"
    r"|上面|上述的?(?:回答|答案|证明|代码)|前面的|刚才|刚刚|你的(?:回答|答案|证明|代码|结论)|换(?:一种|个)(?:方法|说法|方式)"
    r"|(?:更|再)?(?:详细|简单|简短|短|具体|严谨)(?:一)?[点些]|(?:翻译|总结|解释|证明|简化|检查|修改|改写)(?:一下)?(?:它|这|那|上)",
    re.IGNORECASE,
)
_FOLLOWING: Final = re.compile(
    r"^\W*(?:and\b|but\b|what (?:about|if)\b|how (?:about|come)\b|same (?:for|with|as)\b|in that case"
    r"|now (?:do|prove|try|write|show|explain|give|make|solve|find|for|with)\b"
    r"|(?:yes|yeah|ok|okay|sure|right|perfect|great)\W+(?:and|but|with|use|using|in|for|as|now)\b|那.{0,16}呢)",
    re.IGNORECASE,
)


def leans_back(text: str) -> bool:
    """Tell whether a turn means nothing, or less than it says, without the one before."""
    if len(text) > LONGEST or _RESETTING.search(text):
        return False
    if _GREETING.match(text) and not _ONWARD.search(text):
        return False
    if _CORRECTING.search(text) or _REFERRING.search(text):
        return True
    if _CALCULATION.search(text):
        return False
    bare = _bare(text)
    return _steers(bare) or (_words(bare) <= FOLLOWING_WORDS and _FOLLOWING.match(text) is not None)


def says_nothing(text: str) -> bool:
    """Tell whether a turn only approves or asks to go on, so that it adds nothing to what it leans on."""
    if len(text) > LONGEST or re.search(r"\d", text):
        return False
    bare = _bare(text)
    return _APPROVING.issuperset(_WORD.findall(bare)) and not _HAN.search(_APPROVING_PIECES.sub("", bare))


def offers_nothing(text: str) -> bool:
    """Tell whether the offer of an assistant is only to go on."""
    bare = _bare(text)
    return _OFFERING.issuperset(_WORD.findall(bare)) and not _HAN.search(_OFFERING_PIECES.sub("", bare))


def _steers(bare: str) -> bool:
    """Tell whether all words are known ones; a single letter is a variable or the name of an option."""
    words = [word for word in _WORD.findall(bare) if len(word) > 1]
    return _STEERING.issuperset(words) and not _HAN.search(_STEERING_PIECES.sub("", bare))


def _bare(text: str) -> str:
    return _NOT_LETTERS.sub(" ", text).lower()


def _words(bare: str) -> float:
    return len(_WORD.findall(bare)) + len(_HAN.findall(bare)) / 2
