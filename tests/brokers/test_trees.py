"""What fetches other versions: what it keeps, and what it says when it can't."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.brokers import trees
from tests.brokers.trees import PROGRAMS, CannotFetch, Tree, fetch, tree_of


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return tree_of("4.0", tmp_path / "brokers")


def silent(_: str) -> None:
    return


def made(tree: Tree, *, version: str) -> None:
    """A tree as far as its keeper looks: programs and a version."""
    for program in PROGRAMS:
        (tree.folder / "bin").mkdir(parents=True, exist_ok=True)
        (tree.folder / "bin" / program).touch()
    (tree.folder / "plugins" / f"rabbit-{version}").mkdir(parents=True)


def test_a_whole_tree_is_taken_as_it_is(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tree, version="4.0.5")
    monkeypatch.setenv("PATH", "/nowhere")  # no debootstrap could be run

    fetch(tree, silent)

    assert tree.binaries.version == "4.0.5"


def test_a_tree_that_was_cut_short_is_not_taken_for_whole(tree: Tree) -> None:
    part = tree.folder.with_name("trixie.part")
    (part / "root").mkdir(parents=True)

    assert not tree.is_whole


def test_a_tree_of_another_version_than_meant_says_so(tree: Tree) -> None:
    made(tree, version="4.9.1")

    with pytest.raises(CannotFetch, match=r"has RabbitMQ 4\.9\.1 now, not 4\.0"):
        fetch(tree, silent)


def test_without_debootstrap_a_sentence_names_the_package(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(CannotFetch, match="no debootstrap") as refused:
        fetch(tree, silent)

    assert "apt-get install debootstrap" in refused.value.remedy


def test_without_root_a_sentence_says_so(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(CannotFetch, match="Only root"):
        fetch(tree, silent)


def test_a_mirror_that_does_not_answer_is_quoted_and_leaves_nothing_that_looks_whole(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        pytest.skip("only root with debootstrap gets as far as the network")
    monkeypatch.setattr(trees, "machines_mirror", lambda: "http://127.0.0.1:9/debian")

    with pytest.raises(CannotFetch, match="debootstrap"):
        fetch(tree, silent)

    assert not tree.is_whole
