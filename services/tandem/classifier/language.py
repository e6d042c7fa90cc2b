"""Finds the language that is asked in, by script and, for Latin letters, by function words."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from tandem.classifier.sample import ends

UNDECIDED: Final = "und"
READ_CHARACTERS: Final = 600
"""Longest text that is read whole."""
FIRST_CLAUSE_CHARACTERS: Final = 120
MIXED_SHARE: Final = 0.1
"""From this share of a second script on, the first clause says which of the two is asked in."""
HAN_PER_WORD: Final = 1.6
"""Chinese characters that say as much as an English word."""
KANA_SHARE: Final = 5
"""Japanese has at least one kana for so many Chinese characters."""
ALPHABET_CHARACTERS: Final = 2
"""Letters of another alphabet that outweigh a word in Latin letters."""

_HAN: Final = re.compile("[\u4e00-\u9fff\u3400-\u4dbf\U00020000-\U0003134f]+")
_CLAUSE_END: Final = re.compile("[\n:：]")
_LATIN: Final = re.compile("[A-Za-z\u00c0-\u024f]{2,}")
_LATIN_WORD: Final = re.compile("[a-z\u00df-\u024f]{2,}")
_COMMAND: Final = re.compile(r"\\[a-z]+")
"""A command of LaTeX."""
_KANA: Final = re.compile("[\u3040-\u30ff]+")
_ALPHABETS: Final = (
    ("ko", 0.97, re.compile("[\uac00-\ud7af]+")),
    ("ru", 0.8, re.compile("[\u0400-\u04ff]+")),
    ("ar", 0.8, re.compile("[\u0600-\u06ff]+")),
    ("hi", 0.8, re.compile("[\u0900-\u097f]+")),
    ("th", 0.97, re.compile("[\u0e00-\u0e7f]+")),
    ("el", 0.97, re.compile("[\u0370-\u03ff]{3,}")),
    ("he", 0.95, re.compile("[\u0590-\u05ff]+")),
)
"""Its most spoken language, how likely it is that one, and the script."""
_FUNCTION_WORDS: Final = {
    language: frozenset(words.split())
    for language, words in {
        "en": "the of and to is are was were be been that this it its for with on as by what which who how why when "
        "where do does did can could should would will have has had if not you your my we they he from at or about an "
        "all any some each than then into there their let given find solve compute write express evaluate simplify "
        "expand please",
        "de": "der die das und ist nicht ein eine einen dem den des zu von mit auf für wie warum wer ich sie wird sind",
        "fr": "le la les des est et une un du pour que qui dans sur avec pas ce cette comment pourquoi je vous quelle",
        "es": "el la los las es una un del para que en con por no cómo qué cuál se su como más está son",
        "it": "il lo la gli le è una un di per che con non come perché qual sono del della nel questo",
        "pt": "os as é uma um do da para que em com não como por qual se são dos das você isso",
        "nl": "de het een en is van niet dat die te voor met op zijn hoe waarom wat ik je wij naar ook",
    }.items()
}
_LANGUAGES_OF: Final = {
    word: tuple(language for language, words in _FUNCTION_WORDS.items() if word in words)
    for word in frozenset().union(*_FUNCTION_WORDS.values())
}
_KNOWN: Final = frozenset(_LANGUAGES_OF)


class Language(NamedTuple):
    """A language, and how likely that is right."""

    value: str
    """BCP 47 primary subtag; `und`: undecided."""
    confidence: float


class _Words:
    """The words of a text that are written in Latin letters, in lower case; neither variables nor LaTeX commands."""

    def __init__(self, text: str) -> None:
        lower = text.lower()
        self.listed: list[str] = _LATIN_WORD.findall(_COMMAND.sub(" ", lower) if "\\" in lower else lower)
        self.distinct = frozenset(self.listed)


def language_of(text: str) -> Language:
    """Return the language of a text, by its beginning and its end."""
    text = ends(text, READ_CHARACTERS)
    words = _Words(text)
    if text.isascii():
        return _latin(words)
    han = _length(_HAN, text)
    if _length(_KANA, text) * KANA_SHARE > han + len(words.listed):
        return Language("ja", 0.95)
    return _han(text, words, han) if han else _alphabet(text, words)


def _alphabet(text: str, words: _Words) -> Language:
    for language, confidence, script in _ALPHABETS:
        if _length(script, text) > ALPHABET_CHARACTERS * len(words.listed):
            return Language(language, confidence)
    return _latin(words)


def _han(text: str, words: _Words, han: int) -> Language:
    weight = han / HAN_PER_WORD
    latin = len(words.listed)
    share = weight / (weight + latin)
    if min(share, 1 - share) < MIXED_SHARE:
        return Language("zh", 0.98) if share > 0.5 else _latin(words)
    return _mixed(text, share)


def _mixed(text: str, share: float) -> Language:
    """Decide between Chinese and English by the first clause, where the wish usually stands."""
    clause = _CLAUSE_END.split(text.lstrip()[:FIRST_CLAUSE_CHARACTERS], maxsplit=1)[0]
    weight = _length(_HAN, clause) / HAN_PER_WORD
    latin = [word.lower() for word in _LATIN.findall(clause)]
    chinese = weight > len(latin) or (weight > 0 and _FUNCTION_WORDS["en"].isdisjoint(latin))
    return Language("zh" if chinese else "en", 0.9 if chinese == (share > 0.5) else 0.75)


def _latin(words: _Words) -> Language:
    if not words.listed:
        return Language(UNDECIDED, 0.9)
    scores = dict.fromkeys(_FUNCTION_WORDS, 0)
    for word in words.distinct & _KNOWN:
        for language in _LANGUAGES_OF[word]:
            scores[language] += 1
    second, top = sorted(scores.values())[-2:]
    if top == second:
        likely = scores["en"] == top if top else len(words.listed) > 1
        return Language("en", 0.6) if likely else Language(UNDECIDED, 0.5)
    best = max(scores, key=scores.__getitem__)
    return Language(best, min(0.98, 0.6 + 0.4 * (top - second) / (top + 2)))


def _length(pattern: re.Pattern[str], text: str) -> int:
    return sum(map(len, pattern.findall(text)))
