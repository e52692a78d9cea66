"""Redirects: to web addresses only, not too many, never out of https; and https itself."""

import datetime
import ipaddress
import itertools
import ssl

import pytest
from loopback import BODY, Site, answer, serve

from segkit.base.errors import InputError


def moved(to: str, status: int = 302) -> list[bytes]:
    return [answer(f"HTTP/1.0 {status} Moved", f"Location: {to}", "Content-Length: 0")]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("form", ["{}/f.gz", "/f.gz", "f.gz", "../f.gz", "?again"])
def test_a_redirect_is_followed(site, get, form, status):
    site.files["f.gz?again"] = BODY
    site.raw = [moved(form.format(site.url), status)]
    assert get() is False
    assert get.path.read_bytes() == BODY


def test_a_broken_download_is_resumed_behind_a_redirect(site, get):
    with serve(Site({"there.gz": BODY}, cuts=[1000])) as other:
        site.raw = [moved(f"{other.url}/there.gz"), moved(f"{other.url}/there.gz")]
        assert get() is True
        assert other.asked == [("there.gz", None), ("there.gz", "bytes=1000-")]
    assert get.path.read_bytes() == BODY


def test_a_redirect_to_an_impossible_port_is_one_line(site, get):
    site.raw = [moved(f"http://127.0.0.1:{10**25}/f.gz")]
    with pytest.raises(InputError, match=r"^f\.gz: the request failed \("):
        get()


@pytest.mark.parametrize("targets", [["/f.gz"], [f"/{number}" for number in range(99)]], ids=["circle", "chain"])
def test_endless_redirects_are_one_line(site, get, targets):
    site.raw = list(map(moved, itertools.islice(itertools.cycle(targets), 50)))
    with pytest.raises(InputError, match=r"^f\.gz: the request failed \(Exceeded 30 redirects\.\)$"):
        get()
    assert len(site.asked) <= 31


@pytest.mark.parametrize("to", ["file:///etc/hosts", "ftp://127.0.0.1:9/f.gz", "HTTPX://" + "a" * 60_000])
def test_a_redirect_to_no_web_address_is_refused(site, get, to):
    site.raw = [moved(to)]
    with pytest.raises(InputError, match=r"^f\.gz: the request failed \(No connection adapters were found") as caught:
        get()
    assert str(caught.value).isprintable() and len(str(caught.value)) < 300
    assert len(site.asked) == 1


@pytest.mark.parametrize("to", ["http://", "http://[", "//", "http://a:b/", "http://\x1b[2J/", "data:,x"])
def test_a_redirect_to_nonsense_is_one_line(site, get, to):
    site.raw = [moved(to)]
    site.files.clear()
    with pytest.raises(InputError) as caught:
        get()
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


def test_a_redirect_without_an_address_is_one_line(site, get):
    site.raw = [[answer("HTTP/1.1 302 Found")]]
    with pytest.raises(InputError, match=r"^f\.gz: the server answered 302 Found$"):
        get()


def test_the_body_of_a_redirect_is_not_read(site, get):
    sent = []
    pieces = itertools.chain([answer("HTTP/1.1 302 Found", "Location: /f.gz")], itertools.repeat(BODY, 100))
    site.raw = [(sent.append(1) or piece for piece in pieces)]
    get()
    assert get.path.read_bytes() == BODY
    assert len(sent) < 100


@pytest.fixture
def secure(monkeypatch, tmp_path):
    """The same file over https, with a certificate that this process trusts."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
    certificate = builder.add_extension(address, critical=False).sign(key, hashes.SHA256())
    pem, secret = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path = tmp_path / "certificate.pem"
    path.write_bytes(certificate.public_bytes(pem) + key.private_bytes(pem, secret, serialization.NoEncryption()))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    with serve(Site({"f.gz": BODY}), context) as site:
        yield site


def test_https_is_resumed_too(secure, get):
    secure.cuts = [1000]
    assert get(url=f"{secure.url}/f.gz") is True
    assert get.path.read_bytes() == BODY
    assert secure.asked == [("f.gz", None), ("f.gz", "bytes=1000-")]


def test_a_certificate_that_nobody_trusts_is_one_line(secure, get, monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(InputError, match=r"^f\.gz: the request failed .*certificate verify failed"):
        get(url=f"{secure.url}/f.gz")
    assert secure.asked == []


def test_http_may_lead_to_https_but_not_the_other_way(site, secure, get):
    site.raw = [moved(f"{secure.url}/f.gz")]
    get()
    assert get.path.read_bytes() == BODY
    secure.raw = [moved(f"{site.url}/f.gz")]
    with pytest.raises(InputError, match=r"^f\.gz: a redirect from https to http is not allowed$"):
        get("sha256 2", url=f"{secure.url}/f.gz")
    assert len(site.asked) == 1
