"""A base address of archives: a web server, or a folder of this machine, which is read in place."""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from segkit.base.errors import InputError, brief
from segkit.base.workspace import user_path
from segkit.sources.fetch import NotFound, discard, download

SUMS = "SHA256SUMS"


def local_folder(address: str) -> Path | None:
    """The folder of a plain path or a ``file://`` address; None for any other address."""
    try:
        if "://" not in address:
            return user_path(address)
        parts = urlsplit(address)
    except (InputError, ValueError):  # ~USER of an unknown user; not an address
        return None
    local = parts.scheme == "file" and parts.netloc in ("", "localhost")
    return Path(url2pathname(parts.path)) if local else None


class Mirror:
    """The files below an https, http or file address or in a plain folder; InputError for other addresses."""

    def __init__(self, address: str, cache: Path) -> None:
        self._url, self._cache, self._folder, self.host = address.rstrip("/"), cache, local_folder(address), None
        try:
            parts = urlsplit(address)
            if self._folder is None:
                web = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
                if not web or parts[3] + parts[4]:
                    raise ValueError
                self.host = parts.hostname
        except ValueError:  # a port of letters
            raise InputError("not https://HOST/PATH, http://HOST/PATH, file:///FOLDER or a path to a folder") from None

    def get(self, name: str, checksum: str | None, max_bytes: int) -> tuple[Path, bool]:
        """The path of a file, downloaded if need be, and whether bytes of an earlier download were reused."""
        path = (self._folder or self._cache) / name
        if not self._folder:
            return path, download(f"{self._url}/{name}", path, checksum=checksum, max_bytes=max_bytes)
        if not os.path.exists(path):
            raise NotFound(f"{name}: no such file or folder")
        if not (os.path.isfile(path) and os.access(path, os.R_OK)):  # a pipe would be waited for
            raise InputError(f"{name} is not a regular file, or may not be read")
        return path, False

    def sums(self) -> dict[str, str] | None:
        """``{NAME: "sha256 HEX"}`` as SHA256SUMS now says in lines ``HEX  NAME``; None if there is no such file."""
        discard(self._cache / SUMS)
        try:
            lines = self.get(SUMS, None, 1_000_000)[0].read_text(encoding="utf-8", errors="replace").splitlines()
        except NotFound:
            return None
        sums = {}
        for number, line in enumerate(lines, start=1):
            if match := re.fullmatch(r"([0-9a-fA-F]{64}) [ *](?:\./)?(\S.*)", line.rstrip()):
                sums[match[2]] = f"sha256 {match[1].lower()}"
            elif line.strip() and not line.startswith("#"):
                raise InputError(f"{SUMS} line {number} is not a SHA-256 checksum and a name: {brief(line, 40)!r}")
        return sums
