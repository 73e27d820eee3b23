import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from core.embedded.home import Credentials, Home, _is_file_at
from core.errors import Misconfigured

MADE = Credentials(url="http://127.0.0.1:8000", api_key="assay_of_the_test")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_home_and_what_it_keeps_are_the_owner_s_alone(tmp_path: Path) -> None:
    home = Home(tmp_path / "state")
    with home.hold():
        home.save(MADE)
        os.close(home.open_log("api"))
        assert mode(home.path) == 0o700
        assert mode(home.path / "credentials.json") == 0o600
        assert mode(home.log("api")) == 0o600


def test_a_home_that_others_could_read_is_closed(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with Home(tmp_path).hold():
        assert mode(tmp_path) == 0o700


def test_credentials_are_read_back_and_replaced(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert home.credentials() is None
    home.save(Credentials(url="http://127.0.0.1:1", api_key="another key"))
    home.save(MADE)
    assert home.credentials() == MADE
    assert [path.name for path in tmp_path.iterdir()] == ["credentials.json"]


@pytest.mark.parametrize("text", ["", "not json", "[]", '{"url": "http://127.0.0.1:8000"}'])
def test_damaged_credentials_are_named_with_the_way_out(tmp_path: Path, text: str) -> None:
    (tmp_path / "credentials.json").write_text(text)
    with pytest.raises(Misconfigured, match=r"credentials\.json is damaged. Delete it"):
        Home(tmp_path).credentials()


def test_credentials_that_cannot_be_read_say_so(tmp_path: Path) -> None:
    (tmp_path / "credentials.json").mkdir()
    with pytest.raises(Misconfigured, match="cannot be read"):
        Home(tmp_path).credentials()


def test_the_key_is_not_in_what_a_traceback_would_show() -> None:
    assert MADE.api_key not in repr(MADE)


def test_two_cannot_hold_one_home(tmp_path: Path) -> None:
    with (
        Home(tmp_path).hold(),
        pytest.raises(Misconfigured, match=rf"process {os.getpid()}\).*ASSAY_HOME"),
        Home(tmp_path).hold(),
    ):
        pass


def test_a_home_let_go_leaves_no_lock_and_can_be_held_again(tmp_path: Path) -> None:
    with Home(tmp_path).hold():
        assert (tmp_path / "up.lock").exists()
    assert not (tmp_path / "up.lock").exists()
    with Home(tmp_path).hold():
        pass


def test_a_killed_holder_does_not_block_the_next(tmp_path: Path) -> None:
    script = (
        "import os, signal; from pathlib import Path; from core.embedded.home import Home\n"
        f"with Home(Path({str(tmp_path)!r})).hold(): os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script], check=False, cwd=Path(__file__).parents[3])
    assert (tmp_path / "up.lock").exists()
    with Home(tmp_path).hold():
        pass


def test_a_lock_file_that_is_deleted_while_one_waits_locks_nothing(tmp_path: Path) -> None:
    path = tmp_path / "up.lock"
    with path.open("w") as opened:
        assert _is_file_at(opened.fileno(), path)
        path.unlink()
        assert not _is_file_at(opened.fileno(), path)
        path.touch()
        assert not _is_file_at(opened.fileno(), path)


def test_a_home_that_cannot_be_made_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured, match="ASSAY_HOME"), Home(tmp_path / "file" / "home").hold():
        pass


def test_a_log_grown_too_large_is_set_aside(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with home.hold():
        with home.log("api").open("wb") as log:
            log.truncate(11 * 1024 * 1024)
        os.close(home.open_log("api"))
        assert home.log("api").stat().st_size == 0
        assert (tmp_path / "logs" / "api.log.1").stat().st_size == 11 * 1024 * 1024
