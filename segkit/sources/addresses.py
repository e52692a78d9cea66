"""Where archives come from: a folder of this machine, or a web server and a cache for its downloads."""

import re
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from segkit.base.errors import InputError
from segkit.base.workspace import main_checkout
from segkit.sources import fetch
from segkit.sources.connection import NotFoundOnServer

SUMS_NAME = "SHA256SUMS"
MAX_SUMS = 1_000_000  # bytes of a SHA256SUMS file


class Checksum(NamedTuple):
    """What an archive's bytes must hash to."""

    algorithm: str  # as hashlib names it
    digest: str  # lower-case hexadecimal


class FolderSource:
    """The archives in a folder of this machine: read where they are."""

    host = None

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def sums(self) -> bytes | None:
        """The content of SHA256SUMS; None where there is none."""
        try:
            return self._regular(SUMS_NAME).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(f"{SUMS_NAME} cannot be read: {error.strerror}") from None

    def get(self, name: str, checksum: Checksum | None, max_bytes: int) -> tuple[Path, bool]:
        """Where the archive is, and whether a second ``get`` after ``discard`` may bring better bytes."""
        return self._regular(name), False

    def discard(self, name: str) -> None:
        """Do nothing: the folder is the user's."""

    def _regular(self, name: str) -> Path:
        path = self._folder / name
        if path.exists() and not path.is_file():
            raise InputError(f"{name} is not a regular file")  # a pipe would be waited for
        return path


class WebSource:
    """The archives on a web server: downloaded into the cache."""

    def __init__(self, address: str, cache: Path, pause: Callable[[float], None]) -> None:
        self._base = address.rstrip("/")
        self._cache = cache
        self._pause = pause
        self.host = urlsplit(address).hostname

    def sums(self) -> bytes | None:
        """The content of SHA256SUMS; None where the server says that there is none."""
        self.discard(SUMS_NAME)  # a new look each time
        try:
            return self.get(SUMS_NAME, None, MAX_SUMS)[0].read_bytes()
        except NotFoundOnServer:
            return None
        finally:
            self.discard(SUMS_NAME)

    def get(self, name: str, checksum: Checksum | None, max_bytes: int) -> tuple[Path, bool]:
        """Download the archive, if it is not in the cache; the result is that of ``FolderSource.get``."""
        path, url = self._cache / name, f"{self._base}/{name}"
        # Under a known checksum, what one address began another may finish.
        identity = f"{checksum.algorithm} {checksum.digest}" if checksum else url
        try:
            continued = fetch.download(url, path, identity=identity, max_bytes=max_bytes, pause=self._pause)
        except InputError as error:
            raise type(error)(f"{name}: {error}") from None
        return path, continued

    def discard(self, name: str) -> None:
        """Remove the archive from the cache."""
        fetch.discard(self._cache / name)


def at(address: str, cache: Path, pause: Callable[[float], None]) -> FolderSource | WebSource:
    """The source at a base address: ``https://``, ``http://``, ``file://`` or a plain folder.

    cache: folder for downloads; pause: waits so many seconds between attempts. Raises InputError if the
    address is of no such form.
    """
    if "://" not in address:
        return FolderSource(main_checkout() / Path(address).expanduser())
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise InputError(f"not an address: {error}") from None
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and "%00" not in parts.path:
        return FolderSource(Path(urllib.request.url2pathname(parts.path)))
    if parts.scheme in ("http", "https") and parts.hostname:
        return WebSource(address, cache, pause)
    raise InputError("not an address of the form https://HOST/PATH, http://HOST/PATH, file:///FOLDER or /FOLDER")


def parse_sums(content: bytes) -> dict[str, Checksum]:
    """Read what ``sha256sum`` writes, ``HEX  NAME`` or ``HEX *NAME`` a line; raises InputError else."""
    checksums: dict[str, Checksum] = {}
    for number, line in enumerate(content.decode("utf-8", errors="replace").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = re.fullmatch(r"([0-9a-fA-F]{64}) [ *](?:\./)?(\S.*)", line.rstrip())
        if not match:
            raise InputError(f"{SUMS_NAME} line {number} is not a SHA-256 checksum and a name: {line[:40]!r}")
        checksum = Checksum("sha256", match[1].lower())
        if checksums.setdefault(match[2], checksum) != checksum:
            raise InputError(f"{SUMS_NAME} line {number} gives a second checksum for {match[2][:40]!r}")
    return checksums
