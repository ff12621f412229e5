"""The README's program runs, and learns."""

import pathlib
import re

import numpy as np

from l2o_tf.learned.rnnprop import RNNprop

README = pathlib.Path(__file__).resolve().parents[1] / "README.md"


def programs():
    return re.findall(r"```python\n(.*?)```", README.read_text(), re.S)


def test_the_model_of_the_readme_is_trained_by_the_optimizer_in_the_package():
    program, _ = programs()
    names = {}
    exec(compile(program, "README.md", "exec"), names)
    model = names["model"]
    assert isinstance(model.optimizer.cell, RNNprop)
    images = np.random.default_rng(0).normal(size=(640, 784))
    labels = np.argmax(images[:, :10], axis=1)
    history = model.fit(
        images, labels, 32, epochs=2, shuffle=False, verbose=0
    ).history["loss"]
    assert history[1] < 0.7 * history[0]


def test_the_program_of_the_readme_meta_learns(capsys):
    _, program = programs()
    exec(compile(program, "README.md", "exec"), {})
    lines = capsys.readouterr().out.split("\n")
    losses = [float(line.split()[1]) for line in lines if line]
    assert len(losses) == 100
    assert np.mean(losses[-10:]) < 0.2 * np.mean(losses[:10])
