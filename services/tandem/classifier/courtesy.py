"""Leaves out the courtesy around a request: a greeting or a word of thanks does not make it harder.

Only at the edges of a text, and only where what is left still asks for something.
"""

from __future__ import annotations

import re
from typing import Final

BEGINNING: Final = 160
END: Final = 80
"""Characters at either end among which courtesy is looked for."""
LEAST_LEFT: Final = 20
"""Least length of what is left, an ideograph counting three; of a shorter text nothing is left out."""

_ENGLISH: Final = (
    "hi|hiya|hello|hey|dear|greetings|good (?:morning|afternoon|evening|day)|there|all|everyone|everybody|team|folks|"
    "friends?|sir|madam|please|pls|kindly|thank you|thanks?|thx|cheers|sorry|excuse me|pardon|to bother you|"
    "so much|very much|many|a (?:lot|bunch|million)|in advance|again|best|kind|warm|regards|wishes|"
    "for (?:your|the|any|all your) (?:help|time|assistance|advice|answer|support)|"
    "(?:much|greatly|really) appreciated|"
    "(?:i|we)(?: would|'d)?(?: really| greatly)? appreciate (?:it|your help|any help)|"
    "(?:can|could|would|will|may|might) (?:you|someone|anyone|anybody|i|we)|do you mind|would you mind|"
    "i (?:have|'ve got) a (?:quick |small |short )?question(?: for you)?|i(?: would|'d) like (?:some|your) help|"
    "i need (?:some |your )?help|i was wondering if you (?:can|could)|i hope you(?: are|'re) (?:well|doing well)|"
    "help|helping|assist|answer|answering|solve|look at|take a look at|tell|have a look at|me|us|out|with|"
    "this(?: one| question| problem)?|it|the following(?: question| problem)?|a (?:hand|moment)|give|quickly"
)
_CHINESE: Final = (
    "你好|您好|大家好|各位好|嗨|哈喽|哈啰|早上好|上午好|下午好|晚上好|早安|晚安|老师|朋友们?|同学们?|"
    "请问(?:一下|下)?|请教(?:您|你|大家|各位)?(?:一下|下)?|想问(?:一下|下|问)?|问(?:一下|下)|咨询(?:一下|下)?|打扰(?:了|一下)?|"
    "不好意思|抱歉|麻烦|劳驾|拜托|辛苦|烦请|能否|能不能|可以|可否|想|请|您们?|你们?|我|给|帮忙|帮助|帮我?|"
    "看(?:看|一下|一看|下)?|解答(?:一下|下)?|回答(?:一下|下)?|解决(?:一下|下)?|一下|这个|这道|下面的?|以下的?|问题|题目?|"
    "(?:非常|十分|多)?感谢(?:您|你|大家)?(?:的帮助|的回答)?|(?:非常|先)?谢谢(?:您|你|啦|了|大家)?(?:的帮助|的回答)?|"
    "多谢|感激不尽|万分|在此|先|提前|祝好|祝您?愉快|了|啦|吗|呢|吧"
)
# Groups that give nothing back, so that the time is proportional to the length; longer words therefore stand first.
_BEFORE: Final = re.compile(
    rf"(?:\s*(?:(?>(?:{_ENGLISH})\b[ \t]*)++|(?>(?:{_CHINESE})[ \t]*)++)(?:[,.!?:;…，。！？：；~～-]+|\n)\s*)++",
    re.IGNORECASE,
)
_AFTER: Final = re.compile(
    rf"(?:(?<=[.!?…。！？\n])\s*|\s*[,，]\s*)"
    rf"(?:(?>(?:{_ENGLISH})\b[\s,.!?]*)++|(?>(?:{_CHINESE})[\s，。！？]*)++)[.!?…。！？~～)\s]*$"
    r"|(?<=[\w）)])(?<![说道声句字写译词])(?:非常|万分)?(?:感|谢)谢(?:您|你|大家)?[.!。！~～]+\s*$",
    re.IGNORECASE,
)
_THANKS: Final = (
    "thank", "thx", "cheers", "please", "pls", "kindly", "regards", "appreciat", "advance", "sorry", "help",
    "谢", "感激", "拜托", "辛苦", "麻烦", "请", "帮", "祝", "抱歉", "打扰",
)  # fmt: skip
"""One of them is in every courtesy at an end: most texts have none, and finding that out is quick."""
_IDEOGRAPH: Final = re.compile("[\u4e00-\u9fff]")


def without_courtesy(text: str) -> str:
    """Return a text without greetings, pleas and thanks at its edges, and without blanks there.

    In time bounded whatever its length.
    """
    left = _from_end(text.strip())
    if greeting := _BEFORE.match(left[:BEGINNING]):
        left = left[greeting.end() :]
    return left if _long_enough(left) else text


def _from_end(text: str) -> str:
    start = max(0, len(text) - END)
    end = text[start:]
    lowered = end.lower()
    if not any(map(lowered.__contains__, _THANKS)):
        return text
    thanks = _AFTER.search(end)
    left = text[: start + thanks.start()].rstrip() if thanks else text
    about_thanks = left.endswith((":", "：")) and "\n" not in left  # "Translate: thank you!"
    return text if about_thanks else left


def _long_enough(text: str) -> bool:
    return len(text) + 2 * len(_IDEOGRAPH.findall(text[:LEAST_LEFT])) >= LEAST_LEFT
