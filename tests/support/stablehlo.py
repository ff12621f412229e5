"""Read StableHLO text: whether it is some, and what its entry takes."""

from __future__ import annotations

import re

from tensorflow.compiler.mlir.stablehlo import stablehlo

_MAIN = re.compile(r"func\.func @main\((.*?)\)(?: -> \(?(.*?)\)?)? \{$", re.M)
_TENSOR = re.compile(r"tensor<(?:([0-9x]+)x)?([a-z0-9]+)>")
_TYPES = {
    "f32": "float32",
    "i32": "int32",
    "i1": "bool",
    "ui8": "uint8",
    "i64": "int64",
}


def parse(text):
    """Let StableHLO's own parser read a module; it raises if it cannot."""
    version = stablehlo.get_minimum_version()
    return stablehlo.serialize_portable_artifact_str(text, version)


def entry(text):
    """Return (argument types, result types) of @main, as "float32 [2, 3]"."""
    arguments, results = _MAIN.search(text).groups()
    return _types(arguments), _types(results)


def commented(text):
    """Return the same from the comment at the top, and the names."""
    found = re.findall(r"^// (%arg|result )\d+: (\S+), (.*)$", text, re.M)
    arguments = [(n, t) for word, n, t in found if word == "%arg"]
    results = [(n, t) for word, n, t in found if word != "%arg"]
    return arguments, results


def _types(text):
    return [
        f"{_TYPES[kind]} {[int(d) for d in dims.split('x')] if dims else []}"
        for dims, kind in _TENSOR.findall(text or "")
    ]
