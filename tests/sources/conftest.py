"""A server with one file, and a client for it."""

import pytest
from loopback import BODY, Site, serve

from segkit.sources import fetch


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serve(Site({"f.gz": BODY})) as site:
        yield site


@pytest.fixture
def get(site, tmp_path):
    """Download f.gz from the site; ``get.pauses`` are the seconds waited, ``get.path`` is the file."""

    def get(identity: str = "one", max_bytes: int = 10 * len(BODY), url: str | None = None) -> bool:
        url = url or f"{site.url}/f.gz"
        return fetch.download(url, get.path, identity=identity, max_bytes=max_bytes, pause=get.pauses.append)

    get.path, get.pauses = tmp_path / "cache" / "f.gz", []
    return get
