"""What a learner guessed before the run, kept beside what then happened.

`.labs/predictions.json` holds `{notebook: {key: {"question": …, "answer": …}}}`. It is
written whole and at once, and survives a restart of the kernel. `compared`
makes the sentence that shows guess and outcome side by side; it never scolds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from labs.broker.files import read_json, write_private
from labs.notebook.display import Piece


@dataclass(frozen=True)
class Prediction:
    """A question and the learner's answer to it (a JSON value: text, number, list…)."""

    question: str
    answer: Any


class Predictions:
    """All predictions of one notebook, in a file."""

    def __init__(self, path: Path, notebook: str) -> None:
        self._path, self._notebook = path, notebook

    def record(self, key: str, prediction: Prediction) -> None:
        """Keep it; a later one of the same key takes its place."""
        everything = read_json(self._path)
        mine = everything.setdefault(self._notebook, {})
        mine[key] = {"question": prediction.question, "answer": prediction.answer}
        write_private(self._path, json.dumps(everything, ensure_ascii=False, indent=1, default=str))

    def find(self, key: str) -> Prediction | None:
        """The prediction made under this key; None if there is none."""
        found = read_json(self._path).get(self._notebook, {}).get(key)
        return Prediction(found["question"], found["answer"]) if found else None


def asked(prediction: Prediction) -> Piece:
    """The question with the learner's answer, before the run."""
    text = f"{prediction.question}\nYour prediction: {written(prediction.answer)}"
    html = (
        f"<p>{escape(prediction.question)}<br>Your prediction: "
        f"<b>{escape(written(prediction.answer))}</b> "
        '<span style="opacity:.75">(to change it, edit the cell and run it again)</span></p>'
    )
    return Piece(html, text)


def compared(prediction: Prediction | None, outcome: Any, surprise: str = "") -> Piece:
    """Prediction and outcome side by side, with a sentence; `surprise` is said to a wrong one."""
    if prediction is None:
        verdict = "You made no prediction: run the cell above that asks for it, then this one."
        rows = [("outcome", written(outcome))]
    else:
        right = same(prediction.answer, outcome)
        verdict = "You predicted it." if right else f"Not as predicted. {surprise}".rstrip()
        rows = [("prediction", written(prediction.answer)), ("outcome", written(outcome))]
    question = prediction.question if prediction else ""
    text = "\n".join(
        [*([question] if question else []), *(f"{a:<11}{b}" for a, b in rows), verdict]
    )
    cells = "".join(
        f'<tr><th scope="row" style="text-align:left">{a}</th>'
        f'<td style="text-align:left">{escape(b)}</td></tr>'
        for a, b in rows
    )
    asks = f"<p>{escape(question)}</p>" if question else ""
    return Piece(f"{asks}<table>{cells}</table><p>{escape(verdict)}</p>", text)


def same(answer: Any, outcome: Any) -> bool:
    """Whether a guess is what happened: numbers by value, words whatever their case."""
    return bool(_plain(answer) == _plain(outcome))


def written(value: Any) -> str:
    """A value as a person writes it: yes and no, lists without brackets."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(written(item) for item in value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {written(item)}" for key, item in value.items()) or "none"
    return str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return written(value)
    if isinstance(value, str):
        words = " ".join(value.split()).casefold()
        try:
            return float(words)
        except ValueError:
            return words
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value
