"""What holds for every notebook as a file: clean in git, in the lab's shape, readable."""

from __future__ import annotations

import ast
import json
import re
from typing import Any

import nbformat
import pytest

from tests.notebooks.desk import NOTEBOOKS, read

PATHS = sorted(NOTEBOOKS.glob("*.ipynb"))
NAMES = [path.stem for path in PATHS]
LESSONS = [name for name in NAMES if not name.startswith("00")]
LONGEST_CELL = 28  # lines: what one can look at without scrolling


def cells(name: str, kind: str | None = None) -> list[Any]:
    """The notebook's cells, all or those of one kind."""
    return [cell for cell in read(name).cells if kind in (None, cell.cell_type)]


def code(name: str) -> str:
    """All the notebook's code."""
    return "\n".join(cell.source for cell in cells(name, "code"))


def without_magic(source: str) -> str:
    """Python alone: lines that begin with ! or % are IPython's."""
    return re.sub(r"(?m)^(\s*)[!%].*", r"\1pass", source)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_valid_notebook_of_format_4_5_for_any_python_3(name: str) -> None:
    notebook = read(name)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert "version" not in notebook.metadata.language_info


@pytest.mark.parametrize("name", NAMES)
def test_it_is_stripped_of_outputs_counts_and_metadata(name: str) -> None:
    for cell in cells(name, "code"):
        assert (cell.outputs, cell.execution_count) == ([], None), cell.id
    assert all(cell.metadata == {} for cell in cells(name))


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_it_is_written_as_jupyter_writes_it_so_that_saving_changes_nothing(path: Any) -> None:
    text = path.read_text(encoding="utf-8")
    sorted_text = json.dumps(json.loads(text), indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    assert text == sorted_text


@pytest.mark.parametrize("name", NAMES)
def test_its_cells_have_readable_names_of_their_own(name: str) -> None:
    ids = [cell.id for cell in cells(name)]
    assert len(set(ids)) == len(ids)
    assert [one for one in ids if not re.fullmatch(r"[a-z][a-z0-9-]*", one)] == []


@pytest.mark.parametrize("name", NAMES)
def test_it_starts_with_a_heading_says_how_long_it_takes_and_ends_with_clean_up(name: str) -> None:
    first, *_, last = cells(name)
    assert first.source.startswith("# ")
    assert "minutes" in first.source
    assert last.source.strip() == "lab.clean_up()"


@pytest.mark.parametrize("name", NAMES)
def test_its_code_parses_and_no_cell_is_too_long(name: str) -> None:
    for cell in cells(name, "code"):
        ast.parse(without_magic(cell.source))
        assert len(cell.source.splitlines()) <= LONGEST_CELL, cell.id


@pytest.mark.parametrize("name", LESSONS)
def test_each_prediction_is_asked_for_before_its_outcome_is_shown(name: str) -> None:
    told = re.findall(r'lab\.(predict|outcome)\(\s*"([^"]+)"', code(name))
    asked = [key for kind, key in told if kind == "predict"]
    assert asked, "a lesson asks for a prediction"
    assert sorted(asked) == sorted(key for kind, key in told if kind == "outcome")
    for key in asked:
        assert told.index(("predict", key)) < told.index(("outcome", key))


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_shows_a_picture_teaches_pika_in_the_open_and_has_things_to_try(name: str) -> None:
    assert re.search(r"lab\.(timeline|plot|sequence|builds)\(", code(name))
    assert "basic_publish(" in code(name) or "broker=False" in code(name)
    assert "## Try it yourself" in "\n".join(cell.source for cell in cells(name, "markdown"))


def test_the_first_notebook_has_a_map_of_the_others() -> None:
    start = "\n".join(cell.source for cell in cells("00-start-here", "markdown"))
    assert [name for name in LESSONS if f"| `{name}` |" not in start] == []


@pytest.mark.parametrize("name", NAMES)
def test_its_loops_end(name: str) -> None:
    assert "while True" not in code(name)
    for loop in re.findall(r"\.consume\(.*", code(name)):
        assert "inactivity_timeout" in loop
