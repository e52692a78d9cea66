"""A server with one file, and a client for it."""

import pytest
from loopback import BODY, Site, serve

from segkit.sources import fetch


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    """No proxies, and no waiting between attempts except where a server asks for it."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(fetch, "RETRIES", fetch.RETRIES.new(backoff_factor=0))


@pytest.fixture
def site():
    with serve(Site({"f.gz": BODY})) as site:
        yield site


@pytest.fixture
def get(site, tmp_path):
    """Download f.gz from the site to ``get.path``."""

    def get(checksum: str | None = None, max_bytes: int = 10 * len(BODY), url: str | None = None) -> bool:
        return fetch.download(url or f"{site.url}/f.gz", get.path, checksum=checksum, max_bytes=max_bytes)

    get.path = tmp_path / "cache" / "f.gz"
    return get
