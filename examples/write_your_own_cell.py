"""Write an optimizer of your own, and let its numbers be learned.

    python examples/write_your_own_cell.py

What one sees: an optimizer with three learned weights (step size, its decay,
memory) is meta-trained on MLP-orig from a bad start; the loss at the end of its
episodes falls, and the weights are saved to agreement.npy. Half a minute on two
cores. evaluate_your_own_cell.py goes on from there.
"""

import argparse

import keras
import numpy as np
import tensorflow as tf

from l2o_tf.core import seeds
from l2o_tf.core.compile import compiled
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Nest, Seed
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.meta_training.episode import initial_meta_state, train_episode
from l2o_tf.optimizees.collection import mlp_orig
from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.base import OptimizerCell, OptimizerInputs

UNROLL = 50  # inner steps of a window, which is differentiated
START = keras.initializers.Constant([-7.0, -6.0, 2.0])
FILE = "agreement.npy"


@keras.saving.register_keras_serializable(package="examples")
class Agreement(OptimizerCell):
    """Step as far as the latest gradients agree in sign.

    m_t = beta m_{t-1} + (1 - beta) g_t;    a_t likewise of |g_t|
    u_t = -eta_t m_t / a_t (1e-8 is added to a_t),    so |u_t| <= eta_t

    eta_t = exp(w_1) / (1 + exp(w_2) t) and beta = sigmoid(w_3); w is learned.
    """

    coordinatewise = True  # No coordinate sees another.

    def __init__(self, name: str = "agreement") -> None:
        super().__init__(name=name, dtype="float32")
        self.w = self.add_weight(name="w", shape=(3,), initializer=START)

    def get_initial_state(self, layout: Layout, seed: Seed = None) -> Nest:
        """Return m_0 = a_0 = 0, each `[N]`."""
        return tf.zeros([layout.size]), tf.zeros([layout.size])

    def call(self, inputs: OptimizerInputs, states: Nest) -> Nest:
        """Compute one update of all coordinates, and the new state."""
        g, (m, a) = inputs.gradient, states
        t = tf.cast(inputs.step, tf.float32)
        eta = tf.exp(self.w[0]) / (1.0 + tf.exp(self.w[1]) * t)
        beta = tf.sigmoid(self.w[2])
        m = beta * m + (1.0 - beta) * g
        a = beta * a + (1.0 - beta) * tf.abs(g)
        return -eta * m / (a + 1e-8), (m, a)

    def get_config(self) -> dict[str, str]:
        """Return the constructor's arguments, for Keras to save it."""
        return {"name": self.name}


def main() -> None:
    """Meta-train the cell and save its weights."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--episodes", type=int, default=60)
    parser.add_argument("--steps", type=int, default=100, help="of an episode")
    args = parser.parse_args()

    cell, problem, meta_optimizer = Agreement(), mlp_orig("train"), Adam(0.05)
    print(problem.notice or "The full MNIST.")
    # With so few weights it counts how a step changes the gradients after it.
    estimator = TruncatedBackpropagation(UNROLL, second_derivatives=True)
    windows = tf.constant(args.steps // UNROLL)
    episode = compiled(
        lambda state, seed: train_episode(
            cell, problem, estimator, meta_optimizer, state, seed, windows
        ),
        jit_compile=True,
    )
    state, losses = initial_meta_state(cell, meta_optimizer), []
    for i in range(args.episodes):
        state, report, _ = episode(state, seeds.make_seed(i))
        losses.append(report.last_loss.numpy())
        if i == 0 or (i + 1) % 10 == 0:
            print(f"episode {i + 1}: last losses {np.mean(losses[-10:]):.3f}")
    np.save(FILE, state.meta_params)
    eta, decay = np.exp(state.meta_params[:2])
    beta = tf.sigmoid(state.meta_params[2])
    print(f"step size {eta:.4f} / (1 + {decay:.4f} t), memory {beta:.3f}")


if __name__ == "__main__":
    main()
