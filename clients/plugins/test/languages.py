"""The interpreters that the tests run programs with, and what happens where one is missing."""

from __future__ import annotations

import os
import pathlib
import shutil
import sys
import unittest

PLUGINS = pathlib.Path(__file__).resolve().parent.parent
ROOT = PLUGINS.parent.parent
PROGRAMS = PLUGINS / "test" / "programs"
EXAMPLES = ROOT / "examples" / "plugins"
DOCUMENT = ROOT / "docs" / "plugins.md"


def interpreter(language: str) -> str:
    """The program that runs a language; the variables PYTHON, NODE and PHP name another one.

    Where it is missing the tests are skipped with a line that nobody overlooks, and fail under CI=true.
    """
    variable, otherwise = {
        "python": ("PYTHON", sys.executable),
        "node": ("NODE", "node"),
        "php": ("PHP", "php"),
        "bash": ("BASH_PROGRAM", "bash"),
    }[language]
    name = os.environ.get(variable, otherwise)
    found = shutil.which(name)
    if found is None:
        sentence = f"plugins in {language}: no {name} here"
        if os.environ.get("CI") == "true":
            raise AssertionError(sentence)
        # Not sys.stderr, of which unittest shows nothing when the test passes.
        print(f"SKIPPED {sentence}", file=sys.__stderr__, flush=True)
        raise unittest.SkipTest(sentence)
    return found
