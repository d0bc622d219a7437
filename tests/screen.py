"""What a terminal shows: a reading of what is written to it."""

from __future__ import annotations

import re

_PIECE = re.compile(r"\x1b\[(?P<number>[\d;?]*)(?P<command>[A-Za-z])|(?P<letter>.)", re.DOTALL)


class Screen:
    """Enough of a terminal for lines that are replaced in place; it is never full.

    `frames` are the screens that were there before something was replaced.
    """

    def __init__(self, columns: int, written: str) -> None:
        self._columns = columns
        self._lines: list[list[str]] = [[]]
        self._row = self._column = 0
        self.frames: list[list[str]] = []
        for piece in _PIECE.finditer(written.replace("\r\n", "\n")):
            if command := piece["command"]:
                self._obey(command, piece["number"])
            else:
                self._show(piece["letter"])

    @property
    def lines(self) -> list[str]:
        return ["".join(line).rstrip() for line in self._lines]

    @property
    def text(self) -> list[str]:
        """The lines as they were written, before those that are too long were broken."""
        broken = ("".join(line) + "\n" * (len(line) < self._columns) for line in self._lines)
        return "".join(broken).splitlines()

    def _obey(self, command: str, number: str) -> None:
        if command == "A":
            self._row -= int(number or 1)
        elif command == "K":
            assert number == "2"
            self._lines[self._row] = []
        else:
            assert command in "mhl", command  # colors; the cursor is hidden or shown

    def _show(self, letter: str) -> None:
        if letter == "\r":
            self.frames.append(self.lines)
            self._column = 0
            return
        if letter == "\n" or self._column == self._columns:
            self._row, self._column = self._row + 1, 0
            if self._row == len(self._lines):
                self._lines.append([])
        if letter == "\n":
            return
        assert letter.isprintable(), ascii(letter)
        line = self._lines[self._row]
        line += " " * (self._column + 1 - len(line))
        line[self._column] = letter
        self._column += 1
