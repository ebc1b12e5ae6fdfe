"""What is alive on the page: panes and progress bars, as HTML and as text."""

from __future__ import annotations

import pytest

from labs.notebook.display import (
    Pane,
    Piece,
    Progress,
    busy,
    in_notebook,
    panes,
    progress_bar,
    show,
)

ALICE = Pane("alice", "running, 1 received", [" [x] Received <b>", " [x] Done <b>"])


def test_each_worker_is_named_and_says_its_lines() -> None:
    bob = Pane("bob", "killed", [" [!] Killed (SIGKILL)"], lines_before=3)
    assert panes([ALICE, bob]).text == (
        "alice (running, 1 received)\n [x] Received <b>\n [x] Done <b>\n"
        "bob (killed)\n … 3 earlier lines\n [!] Killed (SIGKILL)"
    )


def test_what_a_worker_says_is_text_on_the_page() -> None:
    html = panes([ALICE]).html
    assert "Received &lt;b&gt;" in html
    assert "<b>alice</b>" in html
    assert 'aria-label="worker alice"' in html


@pytest.mark.parametrize(
    ("done", "total", "text"),
    [
        (0, 9, "[....................] Messages done: 0 of 9"),
        (3, 6, "[##########..........] Messages done: 3 of 6"),
        (9, 9, "[####################] Messages done: 9 of 9"),
        (12, 9, "[####################] Messages done: 9 of 9"),
        (0, 0, "[####################] Messages done: 0 of 0"),
        (None, None, "Messages done …"),
    ],
)
def test_a_progress_bar_says_how_far_it_is(done: int | None, total: int | None, text: str) -> None:
    piece = progress_bar("Messages done", done, total)
    assert piece.text == text
    assert "<progress" in piece.html
    assert "aria-label" in piece.html


def test_what_is_quick_has_no_progress_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(
        "labs.notebook.display.Live.show", lambda _self, piece, **_: shown.append(piece.text)
    )
    quick = Progress("Messages done", 2)
    quick.update(1)
    quick.finish(2)
    assert shown == []
    monkeypatch.setattr(Progress, "PATIENCE_S", 0.0)
    slow = Progress("Messages done", 2)
    slow.update(1)
    slow.finish(2)
    assert shown == ["[##########..........] Messages done: 1 of 2", "Messages done: 2 of 2, 0 s."]


def test_outside_a_notebook_things_are_printed_and_nothing_is_alive(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show(Piece("<b>hello</b>", "hello"))
    with busy("Something"):
        assert not in_notebook()
    assert capsys.readouterr().out == "hello\n"
