"""Arrays come back the same, or the file is refused in words."""

import io
import math
import pickle
import zipfile
from collections import UserDict

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np

from l2o_tf.runtime.arrays import (
    CheckpointError,
    DamagedFileError,
    Format,
    format_of,
    load_arrays,
    load_plain_arrays,
    save_arrays,
)

FORMAT = Format("test.thing", 3)
ARRAYS = {
    "lstm/w": np.arange(12, dtype=np.float32).reshape(3, 4),
    "step": np.int64(7),
    "mask": np.array([True, False]),
    "none": np.zeros((0, 2), np.uint8),
}
METADATA = {"loss": [0.1, math.inf], "stage": 2, "note": "é", "x": None}
SAME_FOLDER = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)


def equal(first, second):
    return (
        first.dtype == second.dtype
        and first.shape == second.shape
        and first.tobytes() == second.tobytes()
    )


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "a.npz"
    save_arrays(path, ARRAYS, METADATA, FORMAT)
    return path


def refused(path, match, error=CheckpointError, plain=False):
    with pytest.raises(error, match=match) as caught:
        load_plain_arrays(path) if plain else load_arrays(path, FORMAT)
    assert str(path) in str(caught.value)


names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(
    lambda name: name.isprintable() and name != "__metadata__"
)
number_arrays = st_np.arrays(
    st.one_of(
        st_np.boolean_dtypes(),
        st_np.integer_dtypes(endianness="?"),
        st_np.floating_dtypes(endianness="?"),
        st_np.complex_number_dtypes(),
    ),
    st_np.array_shapes(min_dims=0, min_side=0, max_dims=3, max_side=4),
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=8,
)


@SAME_FOLDER
@given(
    arrays=st.dictionaries(names, number_arrays, max_size=4),
    metadata=st.dictionaries(st.text(), json_values, max_size=3),
)
def test_arrays_and_metadata_come_back_bit_for_bit(arrays, metadata, tmp_path):
    path = tmp_path / "a.npz"
    save_arrays(path, arrays, metadata, FORMAT)
    loaded, read = load_arrays(path, FORMAT)
    assert list(loaded) == list(arrays)
    assert all(equal(loaded[name], arrays[name]) for name in arrays)
    assert read == metadata


@SAME_FOLDER
@given(data=st.data())
def test_a_changed_byte_is_noticed_or_harmless(data, saved):
    content = bytearray(saved.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path = saved.with_name("changed.npz")
    path.write_bytes(content)
    try:
        loaded, metadata = load_arrays(path, FORMAT)
    except CheckpointError:
        return
    assert loaded.keys() == ARRAYS.keys()
    assert all(equal(loaded[k], np.asarray(ARRAYS[k])) for k in ARRAYS)
    assert metadata == METADATA


@SAME_FOLDER
@given(data=st.data())
def test_a_file_cut_off_anywhere_is_damaged(data, saved):
    content = saved.read_bytes()
    path = saved.with_name("cut.npz")
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    refused(path, "damaged, cut off", DamagedFileError)


def test_the_same_arrays_give_the_same_bytes(saved, tmp_path):
    save_arrays(tmp_path / "b.npz", ARRAYS, METADATA, FORMAT)
    assert (tmp_path / "b.npz").read_bytes() == saved.read_bytes()


def test_numpy_reads_the_file_without_pickle(saved):
    with np.load(saved, allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["lstm/w"], ARRAYS["lstm/w"])


def test_loaded_arrays_can_be_written_to_and_keep_their_order(tmp_path):
    array = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    save_arrays(tmp_path / "a", {"f": array}, {}, FORMAT)
    loaded = load_arrays(tmp_path / "a", FORMAT)[0]["f"]
    assert loaded.flags.f_contiguous
    np.testing.assert_array_equal(loaded, array)
    loaded += 1.0
    assert loaded.sum() == 21.0


def test_any_mapping_is_metadata(tmp_path):
    save_arrays(tmp_path / "a", UserDict(), UserDict(a=1), FORMAT)
    assert load_arrays(tmp_path / "a", FORMAT) == ({}, {"a": 1})


def test_nan_in_metadata_comes_back(tmp_path):
    save_arrays(tmp_path / "a", {}, {"cost": math.nan}, FORMAT)
    assert math.isnan(load_arrays(tmp_path / "a", FORMAT)[1]["cost"])


@pytest.mark.parametrize(
    ("name", "value", "received"),
    [
        ("a", np.array([{}]), "Received: dtype=object of 'a'"),
        ("a", np.array(["x"]), "Received: dtype=<U1 of 'a'"),
        ("a", np.zeros(2, ml_dtypes.bfloat16), "Received: dtype=bfloat16"),
        ("__metadata__", np.zeros(1), "Received: name='__metadata__'"),
        ("", np.zeros(1), "Received: name=''"),
        ("a\n", np.zeros(1), r"Received: name='a\\n'"),
        (3, np.zeros(1), "Received: name=3"),
    ],
)
def test_what_would_not_come_back_is_not_saved(name, value, received, tmp_path):
    with pytest.raises(ValueError, match=received):
        save_arrays(tmp_path / "a", {name: value}, {}, FORMAT)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("metadata", "received"),
    [
        ({"a": [{1: 2}]}, r"Received: key=1 in metadata\['a'\]\[0\]"),
        ({"a": np.float32(1)}, r"Received: metadata\['a'\]=np.float32\(1.0\)"),
        ({"a": UserDict()}, r"Received: metadata\['a'\]=\{\}"),
        ({"a": (1, {2})}, r"Received: metadata\['a'\]\[1\]=\{2\}"),
    ],
)
def test_metadata_that_is_not_json_is_refused(metadata, received, tmp_path):
    with pytest.raises(ValueError, match=received):
        save_arrays(tmp_path / "a", {}, metadata, FORMAT)
    assert not list(tmp_path.iterdir())


def test_a_missing_file_is_refused(tmp_path):
    refused(tmp_path / "no.npz", "No such file")
    refused(tmp_path, "Is a directory")


@pytest.mark.parametrize("content", [b"", b"not a zip file at all", b"PK"])
def test_a_file_that_is_not_a_zip_is_refused(content, tmp_path):
    (tmp_path / "a").write_bytes(content)
    refused(tmp_path / "a", "not an .npz", DamagedFileError)
    refused(tmp_path / "a", "not an .npz", DamagedFileError, plain=True)


def test_a_checksum_that_does_not_fit_is_refused(saved):
    content = saved.read_bytes()
    at = content.index(ARRAYS["lstm/w"].tobytes())
    saved.write_bytes(content[:at] + b"\x01" + content[at + 1 :])
    refused(saved, "Bad CRC-32", DamagedFileError)


def test_a_missing_array_is_refused(saved):
    with zipfile.ZipFile(saved) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(saved, "w") as archive:
        for name, data in members.items():
            if name != "step.npy":
                archive.writestr(name, data)
    refused(saved, r"Received: \['lstm/w', 'mask', 'none'\]", DamagedFileError)


@pytest.mark.parametrize(
    ("format", "received"),
    [
        (Format("other", 3), "Received: format='other', version=3"),
        (Format("test.thing", 4), "Received: format='test.thing', version=4"),
    ],
)
def test_another_format_or_version_is_refused(format, received, tmp_path):
    save_arrays(tmp_path / "a", {}, {}, format)
    assert format_of(tmp_path / "a") == format
    refused(tmp_path / "a", received)


def test_a_plain_file_is_read_by_its_own_function_only(tmp_path):
    path = tmp_path / "plain.npz"
    np.savez_compressed(path, **{"lstm_1/w": np.eye(3), "b": np.float32(2)})
    assert format_of(path) is None
    loaded = load_plain_arrays(path)
    assert loaded["b"] == 2
    np.testing.assert_array_equal(loaded["lstm_1/w"], np.eye(3))
    refused(path, "has no metadata")


def test_a_file_of_this_package_is_not_plain(saved):
    refused(saved, "Received: format='test.thing'", plain=True)


def test_objects_are_refused_and_never_unpickled(tmp_path):
    path = tmp_path / "evil.npz"
    np.savez(path, a=np.array([Bomb()], dtype=object))
    refused(path, "array of object", plain=True)
    assert not Bomb.exploded
    pickle.loads(pickle.dumps(Bomb()))  # it does explode when unpickled
    assert Bomb.exploded


class Bomb:
    exploded = False

    def __reduce__(self):
        return setattr, (Bomb, "exploded", True)


def plain_file(path, data):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", data)


def npy(array):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array)
    return buffer.getvalue()


def test_a_member_that_is_no_array_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    plain_file(path, b"text")
    refused(path, "not a plain array", plain=True)
    plain_file(path, b"\x93NUMPY\x07\x00")
    refused(path, "not a plain array", plain=True)
    header = b"-" * 5000 + b"1"  # too deep to be parsed
    size = len(header).to_bytes(2, "little")
    plain_file(path, b"\x93NUMPY\x01\x00" + size + header)
    refused(path, "not a plain array", plain=True)


@pytest.mark.parametrize("change", [-8, 8])
def test_an_array_with_too_few_or_many_bytes_is_refused(change, tmp_path):
    path, whole = tmp_path / "a.npz", npy(np.arange(4.0))
    plain_file(path, whole[:change] if change < 0 else whole + bytes(change))
    refused(path, f"does not have {32 + change} bytes", plain=True)


@pytest.mark.parametrize("text", ["[1]", "{}", "{", '{"format": "a"}'])
def test_foreign_metadata_is_refused(text, tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, __metadata__=np.frombuffer(text.encode(), np.uint8))
    refused(path, "not what this package writes")
