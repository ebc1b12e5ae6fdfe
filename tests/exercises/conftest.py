"""The judge of these tests, too, keeps what it makes out of the checkout."""

from tests.judge.conftest import judges_home

__all__ = ["judges_home"]
