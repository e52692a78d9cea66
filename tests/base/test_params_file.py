"""The file params.yaml: YAML made to harm, to surprise or by accident is one line, in bounded time."""

import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segkit.base import params
from segkit.base.errors import InputError
from tests.tiny import ROOT, many, spelled


@pytest.fixture
def written(tmp_path):
    """Write a text as a params.yaml and give its path."""

    def write(text: str):
        path = tmp_path / "params.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def refused(path) -> str:
    """The one line of bounded length, given in bounded time, with which the file is refused."""
    start = time.perf_counter()
    with pytest.raises(InputError) as caught:
        params.load(path)
    assert time.perf_counter() - start < 20  # a machine may be busy; what must not be is minutes
    message = str(caught.value)
    assert len(message) < 10_000 and message.isprintable()
    return message


def test_duplicate_keys_are_reported_with_everything_else(written):
    text = ROOT.joinpath("params.yaml").read_text() + "seed: 1\ntrain: {lr: -1, lr: -2, epochs: x}\n"
    with pytest.raises(InputError) as caught:
        params.load(written(text))
    found = str(caught.value)
    assert ": duplicate key seed; " in found and ": duplicate key train; " in found
    assert ": duplicate key lr; " in found and "; train.epochs: must be a valid integer, not 'x'" in found


def test_of_very_many_faults_some_are_named_and_the_rest_counted(written):
    message = refused(written("".join(f"k{number}: 1\n" for number in range(10_000))))
    assert "params.yaml: seed: missing" in message and "; k0: unknown key" in message
    assert "; and 9,989 more faults" in message
    message = refused(written("".join(f"seed: {number}\n" for number in range(9_000))))
    assert message.count("duplicate key seed") == 20 and "; and 8,979 more duplicate keys; " in message


BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (BOMB, "line 2, column 10: an alias (*name) is not supported here"),
        ("a: &a [*a]\n", "line 1, column 8: an alias"),
        ("train: &t {lr: 1}\nunet:\n  train:\n    <<: *t\n", "line 4, column 9: an alias"),
        ("seed: !!python/object/apply:os.system [id]\n", "line 1, column 7: a tag (!name) is not supported here"),
        ("seed: !!binary aGk=\n", "a tag (!name)"),
        ("seed: !!timestamp 2024-01-01\n", "a tag (!name)"),
        ("seed: !!set {a, b}\n", "a tag (!name)"),
        ("!!map {seed: 1}\n", "a tag (!name)"),
        ("seed: ! 1\n", "a tag (!name)"),
        ("train: {<<: {lr: 1}}\n", "train.<<: unknown key"),
        ("[" * 10_000, "it is nested too deeply"),
        ("{a: " * 10_000, "it is nested too deeply"),
        ("- " * 10_000, "it is nested too deeply"),
        ("".join(" " * depth + "a:\n" for depth in range(420)), "it is nested too deeply"),
        ("1: a\n", "1: unknown key"),
        ("~: a\n", "~: unknown key"),
        (".nan: a\n.nan: b\n", "line 2: duplicate key .nan"),
        ("? [a, b]\n: 1\n", "line 1, column 3: a key must be a string"),
        ("? {a: b}\n: 1\n", "line 1, column 3: a key must be a string"),
        ("---\nseed: 1\n---\nseed: 2\n", "line 3, column 1: expected a single document in the stream"),
        ("seed: 1\0\n", "special characters are not allowed"),
        ("seed: \x1b[31m\n", "special characters are not allowed"),
        ('seed: "\\UFFFFFFFF"\n', "cannot be read: "),
        ('seed: "\\ud800"\n', "seed: must be a valid integer, not '\\ud800'"),
        ("%YAML 9.0\n---\nseed: 1\n", "found incompatible YAML document"),
        (f"seed: {'1' * 90_000}\n", "seed: must be a valid integer, not '1111"),
        (f"seed: {'x' * 90_000}\n", "seed: must be a valid integer, not 'xxxx"),
        (f"{'x' * 90_000}: 1\n", "line 1, column 90001: mapping values are not allowed here"),
        (f"? {'x' * 90_000}\n: 1\n", "xxx...: unknown key"),
        (f"seed: [{'x, ' * 30_000}]\n", "seed: must be a valid integer, not ['x', 'x',"),
        (f"data: {{oxford_pet: {{urls: [{'1, ' * 30_000}]}}}}\n", "and 2"),
        ("# " + "x" * 100_000 + "\n", "it has more than 100,000 bytes"),
        ("null\n", "is empty"),
        ("\ufeff", "is empty"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_yaml_made_to_harm_or_surprise_is_one_line(written, text, fault):
    assert fault in refused(written(text))


def test_a_file_without_end_is_not_read(tmp_path):
    with open(tmp_path / "params.yaml", "wb") as file:
        file.truncate(10**11)
    assert "it has more than 100,000 bytes" in refused(tmp_path / "params.yaml")


@pytest.mark.parametrize("spelling", ["1:30", "010", "0o10", "0x10", "yes", "off", "y", "1e999", ".inf", "="])
def test_what_people_read_in_several_ways_is_no_number(written, spelling):
    with pytest.raises(InputError, match=r"train\.weight_decay: must be a (finite|valid) number"):
        params.load(written(spelled("train.weight_decay", spelling)))


@pytest.mark.parametrize(("spelling", "value"), [("1_0", 10), ("+1", 1), ("0", 0), ("3.", 3), ("007.5", 7.5)])
def test_what_everybody_reads_as_one_number_is_that(written, spelling, value):
    assert params.load(written(spelled("train.weight_decay", spelling))).train.weight_decay == value


@pytest.mark.parametrize("spelling", ["yes", "on", "1", '"true"', "y"])
def test_only_true_and_false_are_true_or_false(written, spelling):
    text = spelled("resnet34_unet.pretrained", spelling)
    with pytest.raises(
        InputError, match=r"resnet34_unet\.pretrained: must be true, false or the path of a file NAME\.safe"
    ):
        params.load(written(text))


@pytest.mark.parametrize("name", ["no", "1:30", "2024-01-01", "010", ".nan", "<<", "="])
def test_a_folder_may_be_named_like_a_value_of_yaml_1_1(written, name):
    text = spelled("data.folder.images", name)
    assert params.load(written(text)).data.folder.images == name


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("\n", "\r").encode(),
        lambda text: f"%YAML 1.2\n---\n{text}...\n".encode(),
        lambda text: text.replace("train: {}", "train: &spare {}", 1).encode(),
    ],
    ids=["byte order mark", "Windows", "old Mac", "directive", "anchor"],
)
def test_the_file_as_other_editors_save_it_is_the_same(tmp_path, encode):
    path = tmp_path / "params.yaml"
    path.write_bytes(encode((ROOT / "params.yaml").read_text(encoding="utf-8")))
    assert params.load(path) == params.load(ROOT / "params.yaml")


def test_a_path_that_is_no_file_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "broken").symlink_to(tmp_path / "nothing")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "it is not a file" in refused(tmp_path / "pipe")
    assert "it is not a file" in refused(tmp_path)
    assert "cannot be read: No such file" in refused(tmp_path / "broken")
    assert "cannot be read: " in refused(tmp_path / "loop")
    assert "cannot be read: Not a directory" in refused(tmp_path / "pipe" / "params.yaml")


def test_a_file_that_may_not_be_read_is_refused(written, monkeypatch):
    def forbidden(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", forbidden)  # root may read everything
    assert "cannot be read: Permission denied" in refused(written(""))


def test_utf_16_is_refused(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text(encoding="utf-8"), encoding="utf-16")
    assert "byte 0 is not UTF-8; save it as UTF-8" in refused(path)


REAL = (ROOT / "params.yaml").read_bytes()
MARKS = st.sampled_from([*"{}[]:,-?&*!|>'\"%@` \t\n#<=~\\0a1.e_", "\n  ", ": ", "- ", "train:\n", "lr: 1\n"])


@st.composite
def mutations(draw) -> bytes:
    """The real file with pieces cut out, put elsewhere, put twice, or strewn with marks."""
    content = REAL
    for _ in range(draw(st.integers(1, 4))):
        start, stop = sorted(draw(st.tuples(*[st.integers(0, len(content))] * 2)))
        piece = draw(st.sampled_from([b"", content[start:stop]]) | st.binary(max_size=3) | MARKS.map(str.encode))
        place = draw(st.integers(0, len(content)))
        content = content[:place] + piece + content[draw(st.sampled_from([place, place + 1, stop])) :]
    return content


@many
@given(
    st.binary() | st.text().map(str.encode) | st.lists(MARKS).map(lambda marks: "".join(marks).encode()) | mutations()
)
def test_any_file_is_accepted_or_refused_in_one_line(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "params.yaml"
    path.write_bytes(content)
    try:
        loaded = params.load(path)
    except InputError:
        assert refused(path).startswith(str(path))
    else:
        assert isinstance(loaded, params.Params)
