"""Released pickles: the same numbers, and nothing else than numbers."""

import builtins
import collections
import io
import os
import pickle
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.released_pickles import nested, released_pickle

from l2o_tf.interop.released_weights import (
    is_pickle,
    load_released,
    model_name,
    read_pickle,
)
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.rnnprop import RNNprop
from l2o_tf.learned.weights import load_cell, save_weights
from l2o_tf.runtime.arrays import CheckpointError, DamagedFileError

CELLS = [DMLSTM(seed=7), RNNprop(seed=7)]
RELEASED = ("dm", "dm_aug", "dm_cl", "dm_il", "dm_cl_il", "rnnprop")
RELEASED += ("rnnprop_cl_il",)
SMALL = {"linear/w": np.arange(6, dtype="float32").reshape(3, 2)}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cw.l2l-0"


def weights_of(cell):
    values = cell.meta_layout.split(cell.meta_params())
    return {
        name: np.asarray(value)
        for name, value in zip(cell.meta_layout.names, values, strict=True)
    }


def assert_same(arrays, expected):
    assert list(arrays) == list(expected)
    for name, array in arrays.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, expected[name], strict=True)


def refused(path, content, message, kind=CheckpointError):
    """Check that the content is refused with this message, by its path."""
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        read_pickle(path)
    assert type(caught.value) is kind
    assert message in str(caught.value)
    assert f"Received: path={str(path)!r}" in str(caught.value)


def stream(*pieces):
    """Return a pickle of protocol 3 from opcodes."""
    return b"\x80\x03" + b"".join(pieces) + b"."


def named(module, name):
    return f"c{module}\n{name}\n".encode()


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


@pytest.mark.parametrize("dill", ["dill._dill", "dill.dill"])
@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_comes_back_from_a_pickle(cell, dill, path):
    path.write_bytes(released_pickle(weights_of(cell), dill))
    assert_same(read_pickle(path), weights_of(cell))
    back = load_released(path)
    assert type(back) is type(cell)
    np.testing.assert_array_equal(back.meta_params(), cell.meta_params())


@pytest.mark.parametrize("name", RELEASED)
def test_released_numbers_are_those_of_the_npz_files(name, path, shared_dir):
    source = shared_dir / "weights" / f"{name}.npz"
    path.write_bytes(released_pickle(dict(np.load(source))))
    assert_same(read_pickle(path), dict(np.load(source)))
    kind = DMLSTM if name.startswith("dm") else RNNprop
    pickled, plain = load_released(path), load_released(source)
    assert type(pickled) is type(plain) is kind
    np.testing.assert_array_equal(pickled.meta_params(), plain.meta_params())


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("root", [dict, lambda: collections.defaultdict(dict)])
def test_pickles_saved_again_without_dill_are_read(protocol, root, path):
    content = root()
    content.update(nested(weights_of(CELLS[1])))
    path.write_bytes(pickle.dumps(content, protocol))
    assert_same(read_pickle(path), weights_of(CELLS[1]))


def test_the_older_numpy_names_its_function_directly(path):
    content = pickle.dumps(nested(SMALL), 3)
    old = content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert b"cnumpy.core.multiarray\n_reconstruct\n" in old
    path.write_bytes(old)
    assert_same(read_pickle(path), SMALL)


def test_fortran_order_shapes_and_many_arrays_come_back(path):
    arrays = {f"m{i}/v": np.full((1, i + 1, 2), i, "float32") for i in range(9)}
    arrays["f/v"] = np.asfortranarray(SMALL["linear/w"])
    path.write_bytes(released_pickle(arrays))
    assert b"\x88" in path.read_bytes()
    assert_same(read_pickle(path), arrays)


def test_arrays_can_be_written_to_and_are_their_own(path):
    path.write_bytes(released_pickle(SMALL))
    first, second = read_pickle(path), read_pickle(path)
    first["linear/w"][0] = 5.0
    assert_same(second, SMALL)


class Trap:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (os.system, ("touch {}",), f"{os.system.__module__}.system"),
        (eval, ("open({!r}, 'w')",), "builtins.eval"),
        (builtins.open, ("{}", "w"), ".open"),
        (os.mkdir, ("{}",), f"{os.mkdir.__module__}.mkdir"),
        (np.save, ("{}", 0), "numpy.save"),
        (getattr, (SMALL, "copy"), "builtins.getattr"),
    ],
)
def test_foreign_functions_are_named_and_not_called(
    function, arguments, name, protocol, path
):
    trap = path.with_name("sprung")
    filled = [
        a.format(str(trap)) if isinstance(a, str) else a for a in arguments
    ]
    content = {"linear": {"w": Trap(function, *filled), **SMALL}}
    refused(path, pickle.dumps(content, protocol), f"{name}', which they")
    assert os.listdir(path.parent) == [path.name]


GLOBAL_TRICKS = [
    (named("dill._dill", "_create_type"), "names 'dill._dill._create_type'"),
    (named("numpy", "load"), "names 'numpy.load'"),
    (named("numpy", "ndarray.tofile"), "names 'numpy.ndarray.tofile'"),
    (named("numpy", "core.multiarray._reconstruct"), "names 'numpy.core."),
    (named("__builtin__", "dict"), "names '__builtin__.dict'"),
    (named("m" * 999, "f"), "mmm...mmm"),
]


@pytest.mark.parametrize(("pieces", "message"), GLOBAL_TRICKS)
def test_other_globals_of_the_same_libraries_are_refused(pieces, message, path):
    refused(path, stream(pieces), message)


IMPORT = named("dill._dill", "_import_module")
GET = named("dill._dill", "_get_attr")
NUMPY_C = IMPORT + text("numpy.core._multiarray_umath") + b"\x85R"
DTYPE = named("numpy", "dtype")
ARRAY = (
    named("numpy._core.multiarray", "_reconstruct")
    + named("numpy", "ndarray")
    + b"K\0\x85C\x01b\x87R"
)
CALL_TRICKS = [
    (
        named("dill._dill", "_load_type") + text("CodeType") + b"\x85R",
        "calls dill's _load_type with ('CodeType',)",
    ),
    (IMPORT + text("os") + b"\x85R", "calls dill's _import_module with ('os'"),
    (
        GET + NUMPY_C + text("frombuffer") + b"\x86R",
        "calls dill's _get_attr with (numpy's C module, 'frombuffer')",
    ),
    (
        GET + text("numpy") + text("_reconstruct") + b"\x86R",
        "calls dill's _get_attr with ('numpy', '_reconstruct')",
    ),
    (NUMPY_C + b")R", "calls numpy's C module with ()"),
    (named("numpy", "ndarray") + b"K\x09\x85\x85R", "calls numpy.ndarray with"),
    (named("builtins", "dict") + b")R", "calls dict with ()"),
    (
        named("collections", "defaultdict")
        + named("numpy", "ndarray")
        + b"\x85R",
        "calls collections.defaultdict with (numpy.ndarray,)",
    ),
    (
        named("numpy._core.multiarray", "_reconstruct")
        + named("builtins", "dict")
        + b"K\0\x85C\x01b\x87R",
        "calls numpy's _reconstruct with (dict, (0,), b'b')",
    ),
    (DTYPE + text("O8") + b"\x89\x88\x87R", "numpy.dtype with ('O8', False"),
    (DTYPE + text("f4") + b"\x88\x88\x87R", "numpy.dtype with ('f4', True"),
    (DTYPE + text("a" * 10**4) + b"\x85R", "aaa...aaa"),
]


@pytest.mark.parametrize(("pieces", "message"), CALL_TRICKS)
def test_known_globals_are_called_in_one_way_only(pieces, message, path):
    refused(path, stream(pieces), message)


FLOAT32 = (
    DTYPE
    + text("f4")
    + b"\x89\x88\x87R(K\x03"
    + text("<")
    + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
)
FOUR = b"C\x04abcd"
STATE_TRICKS = [
    # What BUILD does to an object without __setstate__: setattr of slots.
    (
        named("numpy", "ndarray") + b"N}" + text("_calls") + b"Ns\x86b",
        "gives numpy.ndarray a state",
    ),
    (NUMPY_C + b"}" + text("a") + b"Nsb", "gives numpy's C module a state"),
    (DTYPE + text("f4") + b"\x89\x88\x87R" + b"}b", "of state {}"),
    (ARRAY + b"Nb", "an array the state None"),
    (ARRAY + b"(K\1K\1\x85" + FLOAT32 + b"\x89tb", "an array the state (1,"),
    (ARRAY + b"(K\2K\1\x85" + FLOAT32 + b"\x89" + FOUR + b"tb", "state (2,"),
    (ARRAY + b"(K\1K\1" + FLOAT32 + b"\x89" + FOUR + b"tb", "(1, 1,"),
    (ARRAY + b"(K\1\x88\x85" + FLOAT32 + b"\x89" + FOUR + b"tb", "(True,)"),
    (ARRAY + b"(K\1K\0\x85" + FLOAT32 + b"\x89" + FOUR + b"tb", "(0,)"),
    (
        ARRAY + b"(K\1J\xff\xff\xff\xff\x85" + FLOAT32 + b"\x89" + FOUR + b"tb",
        "(-1,)",
    ),
    (ARRAY + b"(K\1K\1\x85" + FLOAT32 + b"K\x02" + FOUR + b"tb", " 2, b'abcd'"),
    (
        ARRAY + b"(K\1K\1\x85" + FLOAT32 + b"\x89" + text("abcd") + b"tb",
        "'abcd",
    ),
    (ARRAY + b"(K\1K\1\x85N\x89" + FOUR + b"tb", "(1,), None,"),
    (
        # A type whose own state has not come.
        ARRAY
        + b"(K\1K\1\x85"
        + DTYPE
        + text("f4")
        + b"\x89\x88\x87R\x89"
        + FOUR
        + b"tb",
        "(1,), ",
    ),
    (
        ARRAY + b"(K\1K\2\x85" + FLOAT32 + b"\x89" + FOUR + b"tb",
        "an array of shape (2,) has 4 bytes",
    ),
    (
        ARRAY
        + b"(K\1J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86"
        + FLOAT32
        + b"\x89"
        + FOUR
        + b"tb",
        "an array of shape (2147483647, 2147483647) has 4 bytes",
    ),
    (
        # The same array twice.
        ARRAY + (b"(K\1K\1\x85" + FLOAT32 + b"\x89" + FOUR + b"tb") * 2,
        "an array the state (1,",
    ),
]


@pytest.mark.parametrize(("pieces", "message"), STATE_TRICKS)
def test_states_other_than_a_float32_arrays_are_refused(pieces, message, path):
    refused(path, stream(pieces), message)
    # No trick changed what later files are read with.
    path.write_bytes(released_pickle(SMALL))
    assert_same(read_pickle(path), SMALL)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(2), "numpy.dtype with ('f8', False, True)"),
        (np.zeros(2, "int32"), "numpy.dtype with ('i4', False, True)"),
        (np.array([SMALL], object), "the opcode EMPTY_LIST"),
        (np.zeros(2, ">f4"), "little-endian float32 is read, and"),
        (np.zeros(2, [("a", "<f4")]), "numpy.dtype with ('V4'"),
        (np.zeros(0, "float32"), "an array the state (1, (0,)"),
    ],
)
def test_arrays_of_other_numbers_are_refused(array, message, path):
    refused(path, pickle.dumps({"linear": {"w": array}}, 3), message)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(value, path):
    arrays = weights_of(CELLS[0])
    arrays["lstm_2/b_gates"] = np.full(80, value, "float32")
    refused(path, released_pickle(arrays), "its lstm_2/b_gates is not finite")


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        (b"N", "does not hold a dict of modules"),
        (b"(" + ARRAY + ARRAY + b"t", "does not hold a dict of modules"),
        (b"}K\1}s", "module 1 is not a named dict"),
        (b"}" + text("a/b") + b"}s", "module 'a/b' is not a named dict"),
        (b"}" + text("a") + b"Ns", "module 'a' is not a named dict"),
        (b"}" + text("a") + ARRAY + b"s", "module 'a' is not a named dict"),
        (
            b"}" + text("a") + b"}" + text("b") + b"}ss",
            "'b' of a is not a named array",
        ),
        (b"}" + text("a") + b"}N" + ARRAY + b"ss", "None of a is not a named"),
        (b"}" + text("a") + b"}" + text("") + ARRAY + b"ss", "'' of a is not"),
        (
            b"}" + text("a") + b"}" + text("b") + ARRAY + b"ss",
            "its a/b has no numbers",
        ),
        # A dict that holds itself.
        (b"}q\0" + text("a") + b"h\0s", "'a' of a is not a named array"),
    ],
)
def test_another_structure_is_refused(pieces, message, path):
    refused(path, stream(pieces), message)


@pytest.mark.parametrize(
    ("pieces", "name"),
    [
        (b"K\1Q", "BINPERSID at byte 4"),
        (b"Pname\n", "PERSID at byte 2"),
        (b"(inumpy\nndarray\n", "INST at byte 3"),
        (b"(" + named("numpy", "ndarray") + b"o", "OBJ"),
        (named("numpy", "ndarray") + b")\x81", "NEWOBJ"),
        (named("numpy", "ndarray") + b")}\x92", "NEWOBJ_EX"),
        (b"\x82\1", "EXT1"),
        (b"]", "EMPTY_LIST"),
        (b"N0", "POP"),
        (b"\x8a\x01\x05", "LONG1"),
        (b"I5\n", "INT"),
        (b"Sabc\n", "damaged"),
        (b"\x96" + bytes(8), "BYTEARRAY8"),
        (b"\x97", "NEXT_BUFFER"),
        (b"Np5\n", "PUT"),
    ],
)
def test_opcodes_that_the_files_do_not_need_are_refused(pieces, name, path):
    kind = DamagedFileError if name == "damaged" else CheckpointError
    refused(path, stream(pieces), name, kind)


def test_a_place_far_beyond_the_memo_is_refused(path):
    bomb = stream(b"Nr" + struct.pack("<I", 2**31))
    refused(path, bomb, "it memorises at 2147483648")


def test_bytes_that_serve_many_arrays_are_refused(path):
    ones = np.ones(250, "float32")
    content = released_pickle({f"a/b{i}": ones for i in range(9)})
    data = b"B" + struct.pack("<I", 1000) + ones.tobytes()
    head, *others = content.split(data)
    assert len(others) == 9
    assert others[0].startswith(b"q")  # memorise
    again = b"h" + others[0][1:2]  # take from the memo
    refused(
        path,
        head + data + again.join(others),
        "its arrays have more bytes than it has",
    )


def test_names_are_short(path):
    name = "a" * 101
    content = pickle.dumps({name: nested(SMALL)["linear"]}, 3)
    refused(path, content, "aaa' is not a named dict")


def test_more_opcodes_than_the_files_need_are_refused(path):
    path.write_bytes(stream(b"N" * 3_997, b"}"))
    assert read_pickle(path) == {}
    # The dict, PROTO and STOP make one more than 4,000.
    refused(path, stream(b"N" * 3_998, b"}"), "more than 4,000 opcodes")
    refused(path, stream(b")" + b"\x85" * 10**6), "more than 4,000 opcodes")


def test_keys_of_deeply_nested_tuples_are_refused(path):
    refused(path, stream(b"})" + b"\x85" * 3_000 + b"}s"), "module ((((")


@pytest.mark.parametrize(
    "pieces",
    [
        b"}}Ns",  # a dict as a key
        b"NNNs",  # an item of None
        b"}Nb}b",  # a state for a dict
        b"K\1)R",  # a call of a number
        b"NN",  # a pickle that goes on after its end
    ],
)
def test_streams_that_pickle_itself_refuses_are_refused(pieces, path):
    path.write_bytes(stream(pieces) + (b"." if pieces == b"NN" else b""))
    with pytest.raises(CheckpointError, match="Received: path="):
        read_pickle(path)


def test_bytes_after_the_end_are_refused(path):
    content = released_pickle(SMALL)
    refused(path, content + b"\0", "bytes follow its end", DamagedFileError)


@pytest.mark.parametrize("cell", CELLS)
def test_a_file_cut_anywhere_is_damaged(cell, path):
    content = released_pickle(weights_of(cell))
    lengths = [*range(0, len(content), 97), len(content) - 1]
    assert len(lengths) > 200
    for length in lengths:
        refused(path, content[:length], "cut off", DamagedFileError)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"PK\x03\x04 no pickle", b"\xff" * 99, b"ca\\P\nb\n"],
)
def test_a_file_that_is_no_pickle_is_damaged(content, path):
    refused(path, content, "not a pickle", DamagedFileError)


@settings(max_examples=300, deadline=None)
@given(
    edits=st.lists(
        st.tuples(
            st.integers(0, 10**4), st.integers(0, 1), st.binary(max_size=3)
        ),
        min_size=1,
        max_size=4,
    )
)
def test_a_changed_file_gives_arrays_or_a_worded_error(edits, tmp_path_factory):
    content = bytearray(released_pickle(SMALL))
    for place, length, new in edits:
        place %= len(content)
        content[place : place + length] = new
    path = tmp_path_factory.getbasetemp() / "changed.l2l-0"
    path.write_bytes(content)
    try:
        arrays, message = read_pickle(path), None
    except CheckpointError as error:
        arrays, message = {}, str(error)
    assert message is None or f"path={str(path)!r}" in message
    for array in arrays.values():
        assert array.dtype == np.float32
        assert np.isfinite(array).all()


def test_a_file_larger_than_any_released_one_is_refused(path):
    refused_size = 2**20 + 1
    path.write_bytes(bytes(refused_size))
    with pytest.raises(CheckpointError, match="at most 1,048,576 bytes"):
        read_pickle(path)


def test_a_missing_file_and_a_folder_are_named(path):
    with pytest.raises(CheckpointError, match="No such file") as caught:
        load_released(path)
    assert repr(str(path)) in str(caught.value)
    path.mkdir()
    with pytest.raises(CheckpointError, match="Is a directory"):
        load_released(path)


@pytest.mark.parametrize("change", ["shape", "missing", "name"])
def test_arrays_of_no_cell_are_refused(change, path):
    arrays = weights_of(CELLS[1])
    bias = arrays.pop("linear/b")
    if change == "shape":
        arrays["linear/b"] = np.zeros(2, "float32")
    elif change == "name":
        arrays["linear/bias"] = bias
    path.write_bytes(released_pickle(arrays))
    with pytest.raises(CheckpointError, match=r"Received: \{") as caught:
        load_released(path)
    assert str(path) in str(caught.value)
    assert "RNNprop" in str(caught.value)


def test_npz_files_of_both_kinds_are_read_as_before(tmp_path):
    own, plain = tmp_path / "own.npz", tmp_path / "plain.npz"
    cell = DMLSTM(units=(3,))
    save_weights(own, cell, cell.meta_params(), {})
    assert load_released(own).get_config() == load_cell(own)[0].get_config()
    np.savez(plain, **weights_of(CELLS[1]))
    np.testing.assert_array_equal(
        load_released(plain).meta_params(), CELLS[1].meta_params()
    )


def test_a_pickle_under_another_name_is_not_unpickled(tmp_path):
    path = tmp_path / "weights.pickle"
    path.write_bytes(released_pickle(weights_of(CELLS[0])))
    with pytest.raises(DamagedFileError, match="not an .npz file"):
        load_released(path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dm/cw.l2l-0", True),
        ("rp.l2l", True),
        ("rp.l2l-12", True),
        ("rp.l2l-x", False),
        (".l2l", False),
        ("a.l2l-0/weights.npz", False),
    ],
)
def test_pickles_are_told_by_their_names(name, expected):
    assert is_pickle(name) is expected


def test_a_pickle_is_called_as_its_folder_and_others_as_themselves(tmp_path):
    assert model_name(tmp_path / "dm_cl" / "cw.l2l-0") == "dm_cl"
    assert model_name(tmp_path / "dm_cl" / "mine.npz") == "mine"


def test_the_pickles_made_here_are_what_python_reads():
    """Unpickle one with pickle itself, with dill's functions written out."""
    calls = []

    class Real(pickle.Unpickler):
        def find_class(self, module, name):
            if module != "dill._dill":
                return super().find_class(module, name)
            return {
                "_load_type": lambda name: {"dict": dict}[name],
                "_import_module": calls.append,
                "_get_attr": lambda _, name: np._core.multiarray._reconstruct,
            }[name]

    for cell in CELLS:
        content = Real(io.BytesIO(released_pickle(weights_of(cell)))).load()
        assert type(content) is collections.defaultdict
        assert content.default_factory is dict
        for name, array in weights_of(cell).items():
            module, variable = name.split("/")
            np.testing.assert_array_equal(content[module][variable], array)
    assert calls == ["numpy.core._multiarray_umath"] * 2
