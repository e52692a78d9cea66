"""``dvc repro``, after a fix for what would stop DVC: a missing git repository, and half-written lock files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import zc.lockfile

WITHOUT_GIT = "[core]\n    no_scm = true\n    check_update = false\n"


def remove_unreadable_locks(tmp: Path) -> None:
    """Remove DVC's records of readers and writers if a killed DVC or a full disk left them unreadable.

    DVC rewrites such a file in place, and refuses to run if it cannot read it. It writes only while it holds the lock
    beside the file.
    """
    for record in (tmp / "rwlock", tmp / "exps/rwlock"):
        if not record.is_file():
            continue
        try:
            guard = zc.lockfile.LockFile(f"{record}.lock")
        except zc.lockfile.LockError:
            continue  # a running DVC writes it
        try:
            readable = isinstance(json.loads(record.read_bytes()), dict)
        except ValueError:
            readable = False
        if not readable:
            record.unlink()
            print(f"Removed {record}, which a killed DVC or a full disk left unreadable", flush=True)
        guard.close()


def use_no_git() -> None:
    """Configure DVC to run without git in a downloaded archive; in .venv, so that a later ``git init`` takes effect."""
    try:
        if subprocess.run(["git", "rev-parse", "--git-dir"], capture_output=True, check=False).returncode == 0:
            return
    except FileNotFoundError:
        pass
    print("Not a git repository: DVC runs without git (dvc repro works; dvc exp and dvc diff need git)", flush=True)
    folder = Path(".venv/dvc")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config").write_text(WITHOUT_GIT)
    os.environ["DVC_SYSTEM_CONFIG_DIR"] = str(folder.resolve())


if __name__ == "__main__":
    try:
        use_no_git()
        remove_unreadable_locks(Path(".dvc/tmp"))
    except OSError as error:
        sys.exit(f"error: {error}")
    os.execv(sys.executable, [sys.executable, "-m", "dvc", "repro", *sys.argv[1:]])
