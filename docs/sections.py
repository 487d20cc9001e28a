"""Reads docstrings as the site needs them: its parser wants a blank line above each section."""

import re

import griffe

TITLE = re.compile(r"(?<!\n)\n(?=(?:Args|Attributes|Returns|Yields|Raises|References|Examples|Notes):\n)")


class Sections(griffe.Extension):
    """Puts a blank line above each section of a docstring."""

    def on_object(self, *, obj, **_):
        if obj.docstring is not None:
            obj.docstring.value = TITLE.sub("\n\n", obj.docstring.value)
