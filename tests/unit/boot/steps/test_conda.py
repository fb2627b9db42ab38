import hashlib
from pathlib import Path

import pytest

from tests.unit.boot.loopback import Served, reply_with_ranges, serving
from userdata.boot.fetch.request import Manner
from userdata.boot.machine.step_error import StepError
from userdata.boot.steps.conda import SHA256, VERSION, install_conda
from userdata.contract.layout import Folders
from userdata.contract.patience import Patience

# Does what the real one does with `-b -p PREFIX -f`: writes a command, also into a folder that is there.
INSTALLER = rb"""#!/bin/sh
[ "$1 $2 $4" = "-b -p -f" ] || exit 2
[ ! -e "$3/bin" ] || { echo "ERROR: something is left in '$3'" >&2; exit 1; }
mkdir -p "$3/bin" && echo '#!/bin/sh' >"$3/bin/conda"
"""
PINNED = hashlib.sha256(INSTALLER).hexdigest()
ONCE = Manner(patience=Patience(attempts=1), margin_bytes=0)


def install(tmp_path: Path, server: Served, sha256: str = PINNED) -> Path:
    settings = {"SD_MINIFORGE_URL": server.url + "/"}
    return install_conda(Folders(str(tmp_path)), settings, sha256=sha256, manner=ONCE)


def test_it_is_installed_once_from_the_pinned_release(tmp_path: Path) -> None:
    with serving(lambda handler: reply_with_ranges(handler, INSTALLER)) as server:
        conda = install(tmp_path, server)
        assert install(tmp_path, server) == conda
    assert conda == Folders(str(tmp_path)).conda / "bin/conda"
    assert conda.exists()
    assert [path for path, _ in server.asked] == [f"/{VERSION}/Miniforge3-{VERSION}-Linux-x86_64.sh"]
    assert not (Folders(str(tmp_path)).fetched / "downloads").exists()


def test_a_half_made_installation_is_removed_and_made_again(tmp_path: Path) -> None:
    half = Folders(str(tmp_path)).conda / "bin/conda"
    half.parent.mkdir(parents=True)
    half.write_text("half")
    with serving(lambda handler: reply_with_ranges(handler, INSTALLER)) as server:
        assert install(tmp_path, server).read_text() == "#!/bin/sh\n"


def test_an_older_release_is_replaced(tmp_path: Path) -> None:
    newer = INSTALLER + b"# newer\n"
    with serving(lambda handler: reply_with_ranges(handler, INSTALLER)) as server:
        install(tmp_path, server)
    with serving(lambda handler: reply_with_ranges(handler, newer)) as server:
        install(tmp_path, server, hashlib.sha256(newer).hexdigest())
    assert len(server.asked) == 1


def test_an_installer_that_fails_is_told_and_not_taken_for_whole(tmp_path: Path) -> None:
    failing = b"echo 'No space left on device' >&2; exit 1\n"
    with (
        serving(lambda handler: reply_with_ranges(handler, failing)) as server,
        pytest.raises(StepError, match="Miniforge could not be installed.*No space left"),
    ):
        install(tmp_path, server, hashlib.sha256(failing).hexdigest())
    with serving(lambda handler: reply_with_ranges(handler, INSTALLER)) as server:
        assert install(tmp_path, server).exists()


def test_another_installer_than_the_pinned_one_is_not_run(tmp_path: Path) -> None:
    with (
        serving(lambda handler: reply_with_ranges(handler, b"touch hacked")) as server,
        pytest.raises(StepError, match=f"{SHA256} is pinned"),
    ):
        install(tmp_path, server, SHA256)
    assert list(Folders(str(tmp_path)).conda.iterdir()) == []
