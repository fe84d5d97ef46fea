"""The mandate is a file that is there or not; whatever else it is, it is no mandate."""

from __future__ import annotations

from pathlib import Path

from ssod.runtime.mandate import ClusterMandate, OperatorMandate


def test_the_file_is_the_mandate(tmp_path: Path) -> None:
    """Empty or not; a file that cannot be looked at is none."""
    mandate = ClusterMandate(str(tmp_path / "mandate"))
    assert not mandate.given()
    assert str(tmp_path / "mandate") in mandate.missing()
    (tmp_path / "mandate").touch()
    assert mandate.given()
    assert not ClusterMandate(str(tmp_path / "mandate" / "below")).given()


def test_an_operator_needs_none() -> None:
    """Nobody but the database is asked."""
    assert OperatorMandate().given()
