import os
import stat

import pytest

from hub.errors import HubError
from hub.state_files import locked, private_directory, replace_file


def test_replaced_file_has_the_new_content_and_no_leftover(tmp_path):
    path = tmp_path / "run.json"
    replace_file(path, "one")
    replace_file(path, "two")
    assert path.read_text() == "two"
    assert os.listdir(tmp_path) == ["run.json"]


def test_file_is_private_even_over_an_open_leftover(tmp_path):
    (tmp_path / "run.json.new").write_text("left by a power cut")
    (tmp_path / "run.json.new").chmod(0o644)
    replace_file(tmp_path / "run.json", "{}")
    assert stat.S_IMODE((tmp_path / "run.json").stat().st_mode) == 0o600


def test_old_content_stays_when_the_new_cannot_be_written(tmp_path):
    path = tmp_path / "run.json"
    replace_file(path, "one")
    with pytest.raises(UnicodeEncodeError):
        replace_file(path, "\ud800")
    assert path.read_text() == "one"


def test_second_user_of_a_directory_is_refused(tmp_path):
    with locked(tmp_path), pytest.raises(HubError, match="another petiole-hub"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_directory_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HubError, match="cannot be used as state directory"):
        private_directory(tmp_path / "file" / "hub")
