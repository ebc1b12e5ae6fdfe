"""What every picture of the kit is in the end: an SVG, and the same in words.

The words are made from the data, like the picture, and say what it shows: a
screen reader reads them, a terminal prints them, a test can assert them. In a
notebook the SVG is put into the page as it is, so that it takes the colours of
the page, light or dark.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Picture:
    """An SVG document (`<svg …>…</svg>`, one element) and the text that says the same."""

    svg: str
    text: str

    def save(self, path: str | Path) -> Path:
        """Write the SVG to a file (UTF-8) and return its path."""
        path = Path(path)
        path.write_text(self.svg, encoding="utf-8")
        return path

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": self.svg, "image/svg+xml": self.svg, "text/plain": self.text}

    def __str__(self) -> str:
        return self.text
