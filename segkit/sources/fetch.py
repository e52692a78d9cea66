"""Download one file over HTTP: atomic, resumable, with limits on size and time.

``NAME.part`` holds the bytes so far; ``NAME.from`` the identity, the address and the ETag or date they came with.
"""

import os
import re
import signal
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests
from requests.utils import get_auth_from_url, urldefragauth
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from segkit.base import progress
from segkit.base.errors import InputError, brief

ATTEMPTS, TIMEOUT = 3, 30.0  # for a whole body; seconds to connect and between two pieces of an answer
GRACE, SLOWEST = 120.0, 100_000  # seconds and bytes per second: a download may take GRACE + max_bytes / SLOWEST
RETRIES = Retry(2, other=0, backoff_factor=1, status_forcelist=[429, *range(500, 600)], retry_after_max=30)


class NotFound(InputError):
    """The server or the folder was reached and does not have the file."""


def download(url: str, path: Path, *, checksum: str | None, max_bytes: int) -> bool:
    """Download ``url`` (http or https, perhaps with user name and password) to ``path``; in the main thread only.

    Returns whether earlier bytes of the same ``checksum`` (or else address) were reused: if they then fail their check,
    download again. Raises NotFound, InputError, or OSError of a disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    address, auth = urldefragauth(url), get_auth_from_url(url)
    if path.exists() and _origin(path)[0] == (checksum or address):
        if checksum:
            return True
        os.replace(path, _beside(path, "part"))  # the server tells by If-Range whether it is still the same file
    signal.signal(signal.SIGALRM, _too_slow)
    signal.setitimer(signal.ITIMER_REAL, GRACE + max_bytes / SLOWEST)
    try:
        with requests.Session() as session:
            session.auth = auth if any(auth) else None
            session.hooks["response"].append(_check_redirect)
            for scheme in ("http://", "https://"):
                session.mount(scheme, requests.adapters.HTTPAdapter(max_retries=RETRIES))
            for _ in range(ATTEMPTS):
                try:
                    return _attempt(session, address, path, checksum or address, max_bytes)
                except HTTPError as error:
                    broken = brief(error, 200)
        raise InputError(f"the download broke off ({broken}), {ATTEMPTS} attempts")
    except (requests.RequestException, ValueError) as error:
        cause = getattr(error.args[0] if error.args else None, "reason", error)  # the reason why urllib3 gave up
        raise InputError(f"{path.name}: the request failed ({brief(cause, 200)})") from None
    except InputError as error:
        raise type(error)(f"{path.name}: {error}") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def discard(path: Path) -> None:
    """Remove a download, whole or partial; a file at ``path`` that was not downloaded stays."""
    if _beside(path, "from").exists():
        for file in (path, _beside(path, "part"), _beside(path, "from")):
            file.unlink(missing_ok=True)


def _attempt(session: requests.Session, address: str, path: Path, identity: str, max_bytes: int) -> bool:
    """Get the file, or the rest of it, by one request; returns whether earlier bytes were reused."""
    part = _beside(path, "part")
    known, sender, validator = _origin(path)
    offset = part.stat().st_size if known == identity and part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={offset}-"} if offset else {})
    if offset and sender == address and re.fullmatch("[!-~][ -~]*", validator):
        headers["If-Range"] = validator
    with session.get(address, headers=headers, stream=True, timeout=TIMEOUT) as response:
        start, total = _span(response, offset, part)
        if start == 0:
            path.unlink(missing_ok=True)
            part.unlink(missing_ok=True)
            validator = response.headers.get("ETag") or response.headers.get("Last-Modified", "")
            _beside(path, "from").write_text(f"{identity}\n{address}\n{validator}", encoding="utf-8")
        size = start
        shown = progress.bar(label=path.name, total=total, initial=start, unit="B", unit_scale=True)
        with shown, open(part, "ab") as file:
            # A .gz file stays one, whatever Content-Encoding says: servers label such files as compressed.
            while size != total and (chunk := response.raw.read1(1 << 18, decode_content=False)):
                size += len(chunk)
                if max(size, total or 0) > max_bytes:
                    discard(path)
                    raise InputError(f"larger than the limit of {max_bytes:,} bytes")
                file.write(chunk)
                shown.update(len(chunk))
    if total not in (None, size):
        raise HTTPError(f"{size} of {total} bytes")
    os.replace(part, path)
    return start > 0


def _span(response: requests.Response, offset: int, part: Path) -> tuple[int, int | None]:
    """Where in the file the body starts, and the file's size if it is known."""
    status, headers = response.status_code, response.headers
    if status in (206, 416):
        place = re.fullmatch(r"bytes (?:(\d{1,18})-\d+|\*)/(\d{1,18})", headers.get("Content-Range", ""))
        if place and int(place[1] or place[2]) == offset <= int(place[2]):
            return offset, int(place[2])  # equal with 416: nothing is missing
        part.unlink(missing_ok=True)
        raise HTTPError("the server sent a different range than requested")
    if status != 200:
        raise (NotFound if status in (404, 410) else InputError)(
            f"the server answered {status} {brief(response.reason)}"
        )
    if headers.get("Content-Type", "").startswith("text/html"):
        raise InputError("the server sent a web page (text/html), not the file")
    return 0, response.raw.length_remaining


def _check_redirect(response: requests.Response, **_: object) -> None:
    """Refuse a redirect from https to http; its body is not read. requests refuses other schemes."""
    if response.is_redirect:
        response.close()
        target = urlsplit(urljoin(response.url, response.headers["Location"]))
        if target.scheme == "http" and response.url.startswith("https:"):
            raise InputError("a redirect from https to http is not allowed")


def _too_slow(*_: object) -> None:
    raise InputError("the server is too slow; the next run resumes")


def _origin(path: Path) -> list[str]:
    """The lines of ``NAME.from``; if it is missing or damaged, they match nothing."""
    file = _beside(path, "from")
    text = file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
    return [*text.split("\n", 2), "", ""][:3]


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(f"{path.name}.{ending}")
