"""Results at another revision, read through git and DVC: a commit, a branch, a tag or an experiment."""

import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from segkit.base.errors import InputError, brief, few
from segkit.reporting.page.tables import COUNTS, ORIGINAL_COUNTS, Columns, read_columns
from segkit.reporting.repository import git


def resolve(revision: str, option: str) -> str:
    """The commit that ``revision`` names; raises InputError, which names ``option``, if there is none, or several."""
    if git("rev-parse", "--git-dir") is None:
        raise InputError(f"{option} {brief(revision)}: this folder is no git repository; run it in one")
    commit = None if revision.startswith("-") else git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if commit:
        return commit.strip()
    listed = (git("for-each-ref", "--format=%(objectname) %(refname)", "refs/exps") or "").splitlines()
    experiments = [line.split(" ", 1) for line in listed if line.rsplit("/", 1)[-1] == revision]
    if len({commit for commit, _ in experiments}) > 1:
        raise InputError(
            f"{option} {brief(revision)}: {len(experiments)} experiments have this name; name a commit, as in "
            "'dvc exp show --sha'"
        )
    if not experiments:
        known = sorted({line.rsplit("/", 1)[-1] for line in listed if line.count("/") > 3})
        known = f" (there are {few(known)})" if known else ""
        raise InputError(f"{option} {brief(revision)}: neither a revision of git nor an experiment of DVC{known}")
    return experiments[0][0]


def pictures_at(commit: str, path: Path, words: str) -> Columns:
    """``name`` and counts of a file of ``metrics/per_image`` at ``commit``, from DVC's cache or its remote.

    Raises InputError, which begins with ``words``, if the file is not there or cannot be fetched.
    """
    if find_spec("dvc") is None:
        raise InputError(f"{words}: needs DVC, which is not installed here; run 'make setup'")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / path.name
        command = [sys.executable, "-m", "dvc", "get", ".", str(path), "--rev", commit, "--out", str(target)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not target.is_file():
            last = ([line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["ERROR: unknown"])[-1]
            raise InputError(
                f"{words}: {path} cannot be read there ({brief(last.removeprefix('ERROR: '), 120)}); reproduce that "
                "revision, or fetch its results from a remote: 'dvc fetch --all-commits', or 'dvc exp pull' for "
                "an experiment"
            )
        try:
            return read_columns(target, (*COUNTS, *ORIGINAL_COUNTS), texts=("name",))
        except InputError as error:
            raise InputError(f"{words}: {str(error).replace(str(target), str(path))}") from None
