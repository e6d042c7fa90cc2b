"""Reads programs: two are the same if their syntax is, whatever their layout and their comments."""

from __future__ import annotations

import ast
import hashlib
import re
import warnings
from typing import Final

from tandem.fusion.structured import fenced

MOST_PARSED: Final = 20_000
"""Longest program, in characters, whose tree is compared; of a longer one its tokens are."""
MOST_NESTED: Final = 60
"""Deepest brackets of a program whose tree is compared: Python's parser is recursive."""
MOST_CHARACTERS: Final = 200_000
"""Of a longer program the rest is compared as it is written."""
_TOKEN: Final = re.compile(
    r"//[^\n]*|/\*.*?\*/|(?<!\S)\#[^\n]*|--\s[^\n]*"  # comments, of C's family, of shells and of SQL
    r"|(?P<token>\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|[^\W\d]\w*|\d[\w.]*|[^\w\s])",
    re.DOTALL,
)


def program(text: str) -> str | None:
    """Return the digest of a program's syntax tree, if it is Python, else of its tokens; None if there is no code.

    What stands in the longest fence is the program; without a fence, the whole text. A bare value, such as `[1, 2]`,
    comes back readable.
    """
    source = max(fenced(text), key=len, default=text.strip())
    if not source:
        return None
    tree = _tree(source)
    if tree is None:
        return _digest(" ".join(_tokens(source)) or source)
    if len(tree.body) == 1 and isinstance(only := tree.body[0], ast.Expr):
        return _short(_unparsed(only) or ast.dump(only))
    return _digest(ast.dump(tree))


def _tree(source: str) -> ast.Module | None:
    """Return Python's syntax tree without docstrings; None if it is something else, or too large."""
    if len(source) > MOST_PARSED or _nesting(source) > MOST_NESTED:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a program that is only read, its bad escapes are no concern
            tree = ast.parse(source)
        return _without_docstrings(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and ast.get_docstring(
            node, clean=False
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def _nesting(source: str) -> int:
    """Return how deep brackets, indents, and prefix operators without a bracket may nest."""
    deepest = depth = 0
    for character in source:
        if character in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in ")]}":
            depth -= 1
    longest = max(
        (len(run[0]) for run in re.finditer(r"(?:[-~+]\s*|not\s+|\.\w+|\*\*\w+|lambda\s*:\s*){20,}", source)),
        default=0,
    )
    return deepest + longest


def _unparsed(node: ast.Expr) -> str | None:
    try:
        return ast.unparse(node)
    except (RecursionError, ValueError):
        return None


def _tokens(source: str) -> list[str]:
    read, rest = source[:MOST_CHARACTERS], source[MOST_CHARACTERS:]
    tokens = [found["token"] for found in _TOKEN.finditer(read) if found["token"]]
    return [*tokens, rest] if rest else tokens


def _short(value: str) -> str:
    return value if len(value) <= 256 else _digest(value)


def _digest(value: str) -> str:
    return "code " + hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:16]
