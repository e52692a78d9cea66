"""The archives of the data set: mirrors in order, each verified, each failure one line."""

import hashlib
import os
import tarfile
from pathlib import Path

import pytest
from loopback import Site, member, pack, serve

from segkit.base import files
from segkit.base.errors import InputError
from segkit.base.params import OxfordPet
from segkit.sources import oxford_pet

IMAGES, ANNOTATIONS = "images.tar.gz", "annotations.tar.gz"
ROOT = Path(__file__).resolve().parents[3]
REAL = Path(os.environ.get("SEGKIT_PETS3") or ROOT.parent / "shared" / "data" / "pets3")

TINY = {
    IMAGES: pack(
        member("images/A_1.jpg", b"picture"),
        member("images/._A_1.jpg"),
        member("._images"),
        member("images/a.mat"),
    ),
    ANNOTATIONS: pack(
        *(member(f"annotations/{name}.txt", b"A_1 1 1 1\n") for name in ("list", "trainval", "test")),
        member("annotations/trimaps/A_1.png", b"trimap"),
        member("annotations/._trimaps"),
        member("annotations/trimaps/._A_1.png"),
    ),
}
TINY_FILES = [
    "annotations/list.txt",
    "annotations/test.txt",
    "annotations/trainval.txt",
    "annotations/trimaps/A_1.png",
    "images/A_1.jpg",
    "images/a.mat",
]


def sums(archives: dict[str, bytes]) -> bytes:
    """The content of a SHA256SUMS file."""
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in archives.items()}
    return "".join(f"{digest}  {name}\n" for name, digest in digests.items()).encode()


def write(folder: Path, contents: dict[str, bytes]) -> str:
    """Put files into a new folder; returns its file:// address."""
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder.as_uri()


def files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def site():
    with serve(Site(dict(TINY))) as site:
        yield site


@pytest.fixture
def fetch(tmp_path, monkeypatch):
    """Get the data set from some addresses; ``fetch.target`` and ``fetch.cache`` are the folders used."""

    def fetch(*urls: str) -> str:
        files.remove(fetch.target)
        fetch.target.mkdir()
        return oxford_pet.bring(fetch.target, OxfordPet(urls=urls), seed=0, workers=0)

    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    fetch.target, fetch.cache = tmp_path / "target", tmp_path / ".segkit" / "downloads"
    return fetch


@pytest.fixture
def official(monkeypatch, site):
    """Take the loopback server for the official one, and the tiny archives for the official ones."""
    monkeypatch.setattr(oxford_pet, "OFFICIAL_HOSTS", frozenset({"127.0.0.1"}))
    digests = {name: hashlib.md5(content).hexdigest() for name, content in TINY.items()}
    monkeypatch.setattr(oxford_pet, "OFFICIAL_MD5", digests)


@pytest.mark.parametrize("ending", ["", "/"])
def test_from_a_web_server(site, fetch, ending, capsys):
    summary = fetch(site.url + ending)
    assert summary == f"from {site.url}{ending} (verified by the archives' own gzip checksums only)"
    assert files_below(fetch.target) == TINY_FILES
    assert list(fetch.cache.iterdir()) == []
    assert [path.name for path in fetch.target.iterdir() if path.name.startswith(".")] == []
    assert capsys.readouterr().out.splitlines() == [
        f"{ANNOTATIONS}: 0.0 MB from {site.url}{ending}",
        f"{IMAGES}: 0.0 MB from {site.url}{ending}",
    ]


@pytest.mark.parametrize("form", ["uri", "path", "localhost"])
def test_from_a_folder_read_in_place(tmp_path, fetch, form):
    folder = tmp_path / "my archives@home"
    uri = write(folder, TINY)
    address = {"uri": uri, "path": str(folder), "localhost": uri.replace("file://", "file://localhost")}[form]
    assert fetch(address).startswith(f"from {address} (")
    assert files_below(fetch.target) == TINY_FILES
    assert files_below(folder) == sorted(TINY)
    assert not fetch.cache.exists()


def test_archives_of_the_user_in_the_cache_folder_stay(fetch):
    fetch.cache.parent.mkdir()
    fetch(write(fetch.cache, TINY))
    assert files_below(fetch.cache) == sorted(TINY)


def test_the_first_address_that_serves_is_used(tmp_path, site, fetch):
    folder = write(tmp_path / "folder", TINY)
    assert fetch(folder, site.url).startswith(f"from {folder}")
    assert site.asked == []


def test_each_failure_is_one_line_and_the_next_address_is_tried(tmp_path, site, fetch, capsys):
    bad = write(tmp_path / "bad", TINY | {"SHA256SUMS": sums(TINY | {ANNOTATIONS: b"other"})})
    assert fetch((tmp_path / "absent").as_uri(), bad, "ftp://host/", site.url).startswith(f"from {site.url}")
    lines = capsys.readouterr().out.splitlines()
    assert f"{tmp_path.as_uri()}/absent: {ANNOTATIONS}: no such file or folder; trying the next" in lines[0]
    assert f"{bad}: {ANNOTATIONS} has the sha256 checksum" in lines[1]
    assert "ftp://host/: not https://HOST/PATH, " in lines[2]
    assert len(lines) == 5


def test_when_all_fail_the_error_is_one_line_with_every_reason_and_the_fix(tmp_path, site, fetch, capsys):
    del site.files[IMAGES]
    absent = str(tmp_path / "absent")
    with pytest.raises(InputError) as caught:
        fetch(site.url, absent)
    message = str(caught.value)
    assert "\n" not in message
    assert f"{site.url}: {IMAGES}: the server answered 404 Not Found; {absent}: " in message
    assert message.endswith("set data.oxford_pet.urls to [file:///that/folder]")
    assert capsys.readouterr().out.splitlines()[-1].endswith("; no more addresses")
    assert files_below(fetch.target) == []


@pytest.mark.parametrize("path", ["~nobody-of-that-name/x", "/" + "x" * 90_000, "https://" + "x" * 90_000])
def test_an_address_that_cannot_be_is_one_short_line_and_the_next_is_tried(tmp_path, fetch, capsys, path):
    folder = write(tmp_path / "folder", TINY)
    assert fetch(path, folder).startswith(f"from {folder}")
    line = capsys.readouterr().out.splitlines()[0]
    assert line.endswith("; trying the next address") and len(line) < 600 and line.isprintable()
    with pytest.raises(InputError) as caught:
        fetch(path)
    assert len(str(caught.value)) < 800


@pytest.mark.parametrize(
    "form",
    ["http://user:{}@127.0.0.1:{}", "http:/user:{}@127.0.0.1:{}", "http://user:a/{}@127.0.0.1:{}", "ftp://{}@a:{}"],
)
def test_a_password_is_never_shown_or_stored(site, fetch, capsys, form):
    site.cuts = [1 << 20, 10, 10, 10]
    with pytest.raises(InputError) as caught:
        fetch(form.format("SECRET", site.url.rpartition(":")[2]))
    kept = [path.read_bytes() for path in fetch.cache.glob("*")] if fetch.cache.exists() else []
    shown = "".join([str(caught.value), *capsys.readouterr()])
    assert "****@" in shown and "SECRET" not in shown and b"SECRET" not in b"".join(kept)
    if form.startswith("http://user:{}"):
        assert any(site.logins) and kept
        assert "SECRET" not in fetch(form.format("SECRET", site.url.rpartition(":")[2]))
        assert "SECRET" not in capsys.readouterr().out


def test_official_archives_are_verified_by_md5(site, fetch, official):
    site.files["SHA256SUMS"] = b"not asked for"
    assert fetch(site.url).endswith("(verified by the official MD5 checksums)")
    assert [name for name, _ in site.asked] == [ANNOTATIONS, IMAGES]


def test_an_official_archive_with_another_md5_is_refused_and_not_kept(site, fetch, official):
    site.files[IMAGES] = pack(member("images/B_1.jpg"))
    with pytest.raises(InputError, match=r"images\.tar\.gz has the md5 checksum .{32}, expected .{32}; put"):
        fetch(site.url)
    assert [path.name for path in fetch.cache.iterdir() if path.name.startswith("images")] == []


def test_the_official_table_is_the_published_one():
    assert oxford_pet.OFFICIAL_MD5 == {
        IMAGES: "5c4f3ee8e5d25df40f4fd59a7f44e54c",
        ANNOTATIONS: "95a8c909bbe2e81eed6a22bccdf3f68f",
    }
    hosts = {"robots.ox.ac.uk", "www.robots.ox.ac.uk", "thor.robots.ox.ac.uk"}
    assert hosts == oxford_pet.OFFICIAL_HOSTS


def test_what_one_official_address_began_another_finishes(site, fetch, official):
    site.cuts = [len(TINY[ANNOTATIONS]), 10, 10, 10]
    with serve(Site(dict(TINY))) as other:
        assert fetch(site.url, other.url).startswith(f"from {other.url}")
        assert other.asked == [(IMAGES, "bytes=30-")]


@pytest.mark.parametrize("web", [True, False], ids=["web", "folder"])
def test_sha256sums_are_used(tmp_path, site, fetch, web):
    site.files["SHA256SUMS"] = sums(TINY)
    address = site.url if web else write(tmp_path / "folder", site.files)
    assert fetch(address).endswith("(verified by SHA256SUMS)")
    assert files_below(fetch.target) == TINY_FILES


@pytest.mark.parametrize(
    ("listed", "reason"),
    [
        (sums(TINY | {IMAGES: b"other"}), r"images\.tar\.gz has the sha256 checksum .*, expected"),
        (sums({IMAGES: TINY[IMAGES]}), r"SHA256SUMS has no line for annotations\.tar\.gz"),
        (b"abc  images.tar.gz", "SHA256SUMS line 1 is not a SHA-256 checksum and a name"),
    ],
    ids=["other", "lacking", "malformed"],
)
@pytest.mark.parametrize("web", [True, False], ids=["web", "folder"])
def test_bad_sha256sums_are_refused(tmp_path, site, fetch, listed, reason, web):
    site.files["SHA256SUMS"] = listed
    with pytest.raises(InputError, match=reason):
        fetch(site.url if web else write(tmp_path / "folder", site.files))


def test_sha256sums_that_cannot_be_had_are_not_taken_for_absent(site, fetch):
    site.answers = [500, 500, 500]
    with pytest.raises(InputError, match=r"SHA256SUMS: the request failed \(too many 500 error responses\)"):
        fetch(site.url)


def test_a_web_page_is_named_as_such_whatever_its_type(site, fetch, official):
    site.files[IMAGES] = b"<!DOCTYPE html><title>Moved</title>"
    with pytest.raises(InputError, match=r"images\.tar\.gz is a web page, not a gzip archive"):
        fetch(site.url)


def test_a_dropped_connection_is_resumed(site, fetch):
    site.cuts = [1 << 20, 10]
    fetch(site.url)
    assert files_below(fetch.target) == TINY_FILES
    # The first answer, to SHA256SUMS, is 404.
    assert (IMAGES, "bytes=10-") in site.asked


def test_a_broken_download_is_resumed_by_the_next_run(site, fetch):
    site.cuts = [1 << 20, 10, 10, 10]
    with pytest.raises(InputError, match="broke off"):
        fetch(site.url)
    site.asked.clear()
    fetch(site.url)
    whole = len(site.files[ANNOTATIONS])
    assert site.asked == [("SHA256SUMS", None), (ANNOTATIONS, f"bytes={whole}-"), (IMAGES, "bytes=30-")]


def test_an_archive_with_a_known_checksum_is_not_fetched_twice(site, fetch):
    site.files["SHA256SUMS"] = sums(TINY)
    fetch(site.url)
    site.asked.clear()
    fetch(site.url)
    assert site.asked == [("SHA256SUMS", None)]


def test_a_resumed_download_that_is_damaged_is_fetched_again(site, fetch, capsys):
    site.cuts = [1 << 20, 20, 0, 0]
    with pytest.raises(InputError, match="broke off"):
        fetch(site.url)
    site.files[IMAGES] = pack(member("images/newer.jpg", os.urandom(100)))
    fetch(site.url)
    assert files_below(fetch.target / "images") == ["newer.jpg"]
    assert "part of it is from an earlier download, so all of it is downloaded again" in capsys.readouterr().out


@pytest.mark.parametrize(
    "bad",
    [
        member("../evil"),
        member("images/evil", b"", type=tarfile.SYMTYPE, linkname="/"),
    ],
)
def test_a_malicious_archive_leaves_nothing_and_the_next_address_is_tried(tmp_path, site, fetch, bad, capsys):
    evil = write(tmp_path / "evil", TINY | {IMAGES: pack(member("images/B_1.jpg"), bad)})
    with pytest.raises(InputError, match=r"images\.tar\.gz: member .*evil"):
        fetch(evil)
    assert files_below(fetch.target) == []
    fetch(evil, site.url)
    assert files_below(fetch.target) == TINY_FILES


def test_an_archive_without_the_expected_files_is_refused(tmp_path, fetch):
    partial = pack(member("annotations/list.txt"), member("annotations/trimaps/A_1.png"))
    with pytest.raises(InputError, match=r"holds no annotations/trainval\.txt, annotations/test\.txt"):
        fetch(write(tmp_path / "folder", TINY | {ANNOTATIONS: partial}))


def test_other_folders_in_an_archive_are_left_out(tmp_path, fetch):
    more = pack(member("images/A_1.jpg"), member("annotations/list.txt", b"forged"), member("junk"))
    fetch(write(tmp_path / "folder", TINY | {IMAGES: more}))
    assert (fetch.target / "annotations/list.txt").read_bytes() == b"A_1 1 1 1\n"
    assert files_below(fetch.target) == [name for name in TINY_FILES if name != "images/a.mat"]


def test_a_disk_that_refuses_is_an_error_at_once(tmp_path, site, fetch):
    fetch.cache.parent.mkdir()
    fetch.cache.write_bytes(b"a file where the folder should be")
    with pytest.raises(InputError, match=r"downloads: .*; free space there or fix its permissions"):
        fetch(site.url, write(tmp_path / "folder", TINY))
    assert files_below(fetch.target) == []


@pytest.mark.skipif(not REAL.is_dir(), reason="no three-breed subset; set SEGKIT_PETS3 to its folder")
@pytest.mark.parametrize("web", [True, False], ids=["web", "folder"])
def test_real_archives(site, fetch, web):
    if web:
        names = (IMAGES, ANNOTATIONS, "SHA256SUMS")
        site.files = {name: (REAL / name).read_bytes() for name in names}
        site.cuts = [1 << 30, 1 << 30, 30_000_000]
    fetch(site.url if web else REAL.as_uri())
    names = files_below(fetch.target)
    assert sum(name.startswith("images/") and name.endswith(".jpg") for name in names) == 600
    assert sum(name.startswith("annotations/trimaps/") for name in names) == 600
    assert {f"annotations/{name}.txt" for name in ("list", "trainval", "test")} <= set(names)
    assert not any("._" in name for name in names)
    if web:
        assert (IMAGES, "bytes=30000000-") in site.asked
