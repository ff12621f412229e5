"""Pickles as dill wrote the released weights, opcode by opcode."""

import struct


class Writer:
    """Write the opcodes of protocol 3 in the order of Python's pickler."""

    def __init__(self, dill="dill._dill"):
        self.dill = dill
        self.stream = bytearray(b"\x80\x03")
        self.memo = {}

    def put(self, key=None):
        index = len(self.memo)
        self.memo[key if key is not None else object()] = index
        if index < 256:
            self.stream += b"q" + bytes([index])
        else:
            self.stream += b"r" + struct.pack("<I", index)

    def get(self, key):
        index = self.memo[key]
        if index < 256:
            self.stream += b"h" + bytes([index])
        else:
            self.stream += b"j" + struct.pack("<I", index)

    def global_(self, module, name):
        if (module, name) in self.memo:
            self.get((module, name))
        else:
            self.stream += f"c{module}\n{name}\n".encode()
            self.put((module, name))

    def text(self, value):
        if ("text", value) in self.memo:
            self.get(("text", value))
        else:
            data = value.encode()
            self.stream += b"X" + struct.pack("<I", len(data)) + data
            self.put(("text", value))

    def bytes_(self, value):
        if len(value) < 256:
            self.stream += b"C" + bytes([len(value)]) + value
        else:
            self.stream += b"B" + struct.pack("<I", len(value)) + value
        self.put()

    def int_(self, value):
        if 0 <= value < 256:
            self.stream += b"K" + bytes([value])
        elif 0 <= value < 65536:
            self.stream += b"M" + struct.pack("<H", value)
        else:
            self.stream += b"J" + struct.pack("<i", value)

    def tuple_(self, size):
        self.stream += {1: b"\x85", 2: b"\x86", 3: b"\x87"}[size]
        self.put()

    def call(self, key=None):
        self.stream += b"R"
        self.put(key)

    def root(self):
        self.global_("collections", "defaultdict")
        self.global_(self.dill, "_load_type")
        self.text("dict")
        self.tuple_(1)
        self.call()
        self.tuple_(1)
        self.call()

    def reconstruct(self):
        if "reconstruct" in self.memo:
            self.get("reconstruct")
            return
        self.global_(self.dill, "_get_attr")
        self.global_(self.dill, "_import_module")
        self.text("numpy.core._multiarray_umath")
        self.tuple_(1)
        self.call()
        self.text("_reconstruct")
        self.tuple_(2)
        self.call("reconstruct")

    def float32(self):
        if "float32" in self.memo:
            self.get("float32")
            return
        self.global_("numpy", "dtype")
        self.text("f4")
        self.int_(0)
        self.int_(1)
        self.tuple_(3)
        self.call("float32")
        self.stream += b"("
        self.int_(3)
        self.text("<")
        self.stream += b"NNN"
        self.int_(-1)
        self.int_(-1)
        self.int_(0)
        self.stream += b"t"
        self.put()
        self.stream += b"b"

    def array(self, value):
        self.reconstruct()
        self.global_("numpy", "ndarray")
        self.int_(0)
        self.tuple_(1)
        self.bytes_(b"b")
        self.tuple_(3)
        self.call()
        self.stream += b"("
        self.int_(1)
        for size in value.shape:
            self.int_(size)
        self.tuple_(value.ndim)
        self.float32()
        fortran = value.flags.fnc
        self.stream += b"\x88" if fortran else b"\x89"
        self.bytes_(value.tobytes("F" if fortran else "C"))
        self.stream += b"t"
        self.put()
        self.stream += b"b"

    def items(self, pairs, write):
        """Write the items of the dict on top, as its pickler batches them."""
        single = len(pairs) == 1
        self.stream += b"" if single else b"("
        for name, value in pairs:
            self.text(name)
            write(value)
        self.stream += b"s" if single else b"u"

    def module(self, variables):
        self.stream += b"}"
        self.put()
        self.items(list(variables.items()), self.array)


def nested(arrays):
    """Turn {"lstm_1/w": a} into {"lstm_1": {"w": a}}."""
    modules = {}
    for path, array in arrays.items():
        module, variable = path.split("/")
        modules.setdefault(module, {})[variable] = array
    return modules


def released_pickle(arrays, dill="dill._dill"):
    """Return the bytes of an .l2l file with these arrays, by their paths."""
    writer = Writer(dill)
    writer.root()
    writer.items(list(nested(arrays).items()), writer.module)
    return bytes(writer.stream + b".")
