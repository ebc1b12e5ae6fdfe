"""What tests with the judge share: a `.labs` folder of their own, and nothing left running."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from labs.broker.locate import spare_node


@pytest.fixture(scope="package", autouse=True)
def judges_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The judge keeps its notes here, and its spare broker, which ends with these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABS_HOME", str(tmp_path_factory.mktemp("judge") / ".labs"))
        yield
        spare_node().wipe()
