"""Meta-train a learned optimizer on a Keras model of your own.

    python examples/meta_train_on_your_model.py

What one sees: RNNprop, from random weights, learns to train `build_model`; the
loss at the end of its episodes falls. Then the untrained and the trained
optimizer have trained the model from fresh starts, on data that meta-training
has not seen. The weights go to my_optimizer.npz. One minute on two cores.
"""

import argparse

import keras
import numpy as np
import tensorflow as tf

from l2o_tf.core import seeds
from l2o_tf.core.compile import compiled
from l2o_tf.datasets.images import load_images
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.evaluation.recorder import CurveRecorder
from l2o_tf.learned.rnnprop import RNNprop
from l2o_tf.learned.weights import save_weights
from l2o_tf.meta_training.episode import initial_meta_state, train_episode
from l2o_tf.optimizees.keras_model import KerasModel
from l2o_tf.optimizers.adam import Adam

UNROLL = 20  # inner steps of a window, which is differentiated
FILE = "my_optimizer.npz"
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def build_model() -> keras.Model:
    """Return the model: put your own here."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.AveragePooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dense(20, activation="relu"),
            keras.layers.Dense(10),
        ]
    )


def end_of_runs(recorder: CurveRecorder, steps: int) -> float:
    """Return the mean of the last 10 losses of runs from three seeds."""
    runs = [next(recorder.record(seed, steps)) for seed in range(3)]
    return float(np.mean([run[-10:] for run in runs]))


def main() -> None:
    """Meta-train, and compare before and after."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--episodes", type=int, default=30)
    parser.add_argument("--steps", type=int, default=100, help="of an episode")
    args = parser.parse_args()

    problem, fresh = (
        KerasModel(build_model(), LOSS, load_images("mnist"), split)
        for split in ("train", "test")
    )
    print(problem.notice or "The full MNIST.")
    cell, meta_optimizer = RNNprop(), Adam(1e-3)
    estimator = TruncatedBackpropagation(UNROLL)
    windows = tf.constant(args.steps // UNROLL)
    episode = compiled(
        lambda state, seed: train_episode(
            cell, problem, estimator, meta_optimizer, state, seed, windows
        ),
        jit_compile=True,
    )
    recorder = CurveRecorder(cell, fresh, chunk_length=args.steps)
    before = end_of_runs(recorder, args.steps)
    state = initial_meta_state(cell, meta_optimizer)
    for i in range(args.episodes):
        state, report, _ = episode(state, seeds.make_seed(i))
        print(f"episode {i + 1}: last loss {report.last_loss.numpy():.3f}")
    cell.assign_meta_params(state.meta_params)
    after = end_of_runs(recorder, args.steps)
    print(f"fresh runs of {args.steps} steps: {before:.3f} -> {after:.3f}")
    save_weights(FILE, cell, state.meta_params, {"episodes": args.episodes})
    print(f'Use it: model.compile(l2o_tf.keras_optimizer("./{FILE}"), ...)')


if __name__ == "__main__":
    main()
