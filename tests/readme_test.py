"""The README's program runs, and learns."""

import pathlib
import re

import numpy as np

README = pathlib.Path(__file__).resolve().parents[1] / "README.md"


def test_the_program_of_the_readme_meta_learns(capsys):
    (program,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    exec(compile(program, "README.md", "exec"), {})
    lines = capsys.readouterr().out.split("\n")
    losses = [float(line.split()[1]) for line in lines if line]
    assert len(losses) == 100
    assert np.mean(losses[-10:]) < 0.2 * np.mean(losses[:10])
