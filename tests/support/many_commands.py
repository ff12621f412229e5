"""Run a command's main with many argument lists in one process.

Reads a JSON list of [command, argument, ...] from the standard input and
writes a JSON list of [exit code, standard error].
"""

import contextlib
import importlib
import io
import json
import sys

from absl import flags

from l2o_tf.cli import fail_in_words


def answer(module, command, arguments):
    flags.FLAGS.unparse_flags()
    for name in flags.FLAGS:
        flags.FLAGS[name].unparse()
    flags.FLAGS([command, *arguments])
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors):
        code = fail_in_words(module.main, [command])
    return code, errors.getvalue()


if __name__ == "__main__":
    lists = json.load(sys.stdin)
    (name,) = {command for command, *_ in lists}
    chosen = importlib.import_module(f"l2o_tf.{name}")
    chosen.define_flags()
    print(json.dumps([answer(chosen, c, a) for c, *a in lists]))
