"""Files are whole or not there, whenever the writer was killed."""

from __future__ import annotations

from pathlib import Path

from spinbot.files import mend_folder, new_folder


def test_a_half_written_folder_goes_and_the_old_one_stays(tmp_path: Path) -> None:
    (tmp_path / "ada").mkdir()
    (tmp_path / ".ada.abcd1234").mkdir()
    (tmp_path / ".ada.abcd1234" / "model").write_text("half")
    mend_folder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["ada"]


def test_an_old_folder_that_was_set_aside_comes_back(tmp_path: Path) -> None:
    """Killed between the two renames of `new_folder`."""
    aside = tmp_path / ".a.b.abcd1234.old"
    aside.mkdir()
    (aside / "model").write_text("old")
    (tmp_path / ".a.b.abcd1234").mkdir()
    mend_folder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.b"]
    assert (tmp_path / "a.b" / "model").read_text() == "old"


def test_what_was_replaced_goes_when_the_new_one_is_there(tmp_path: Path) -> None:
    with new_folder(tmp_path / "ada") as folder:
        (folder / "model").write_text("new")
    (tmp_path / ".ada.abcd1234.old").mkdir()
    (tmp_path / ".keep").write_text("not ours")
    mend_folder(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"ada", ".keep"}
