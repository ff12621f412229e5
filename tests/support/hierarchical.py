"""Between the original program's names and shapes, and the flat state."""

from __future__ import annotations

import pathlib

import numpy as np
import tensorflow as tf

from l2o_tf.core import seeds
from l2o_tf.core.layout import Layout
from l2o_tf.learned.gradient_scales import ScaleState
from l2o_tf.learned.hierarchical import HierarchicalRNN
from l2o_tf.learned.hierarchical_state import HierarchicalState
from l2o_tf.learned.state_layout import with_layout
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.unroll.carry import Carry, batch_seed

FIXTURE = pathlib.Path(__file__).parents[1] / "fixtures/hierarchical_random.npz"
SEED = seeds.make_seed(11)
FIRST_STEP = 20  # not 0: the golden unrolls do not begin at a reset

_PER_TENSOR = "LOL/PerTensor"
NAMES = {
    "level_0_init": "LOL/Level0_RNN/init_vector",
    "level_1_init": "LOL/Level1_RNN/init_vector",
    "level_2_init": "LOL/Level2_RNN/init_vector",
    "level_1_to_0/w": f"{_PER_TENSOR}/Layer0_RNN/Param/Affine/Matrix",
    "level_1_to_0/b": f"{_PER_TENSOR}/Layer0_RNN/Param/Affine/Bias",
    "level_2_to_0/w": f"{_PER_TENSOR}/Layer0_RNN/Global/Affine/Matrix",
    "level_2_to_0/b": f"{_PER_TENSOR}/Layer0_RNN/Global/Affine/Bias",
    "level_2_to_1/w": f"{_PER_TENSOR}/Layer1_RNN/Affine/Matrix",
    "level_2_to_1/b": f"{_PER_TENSOR}/Layer1_RNN/Affine/Bias",
    "update_weights": "LOL/update_weights",
    "gradient_shortcut": f"{_PER_TENSOR}/GradsToDelta/Matrix",
    "scale_decay_weights": "LOL/scl_decay_weights",
    "scale_decay_bias": "LOL/scl_decay_bias",
    "input_decay_weights": "LOL/inp_decay_weights",
    "input_decay_bias": "LOL/inp_decay_bias",
    "learning_rate_weights": "LOL/learning_rate_weights",
    "learning_rate_bias": "LOL/learning_rate_bias",
    "learning_rate_momentum_logit": (
        f"{_PER_TENSOR}/learning_rate_momentum_logit"
    ),
    "step_size_offset": f"{_PER_TENSOR}/param_stepsize_offset",
} | {
    f"level_{i}/{ours}_{part}": f"LOL/{scope}/BiasGRUCell/{part}/Affine/{their}"
    for i, scope in enumerate(
        ("PerTensor/Layer0_RNN", "PerTensor/Layer1_RNN", "Layer2_RNN")
    )
    for part in ("gates", "candidate")
    for ours, their in (("w", "Matrix"), ("b", "Bias"))
}


def original_name(path):
    """Return the original's name of one of our weights."""
    return NAMES[path.removeprefix("hierarchical_rnn/")]


def flat_weights(cell, arrays, prefix):
    """Lay the arrays `prefix + original name` in the order of the cell's."""
    layout = cell.meta_layout
    return np.concatenate(
        [
            arrays[prefix + original_name(name)].reshape(-1)
            for name in layout.names
        ]
    )


def load_cell(arrays, prefix, **options):
    """Build the cell with the weights of a golden file."""
    cell = HierarchicalRNN(name="hierarchical_rnn", **options)
    cell.assign_meta_params(flat_weights(cell, arrays, prefix))
    return cell


def tensors(arrays, prefix):
    """Return the arrays prefix/0, prefix/1, ..."""
    found = []
    while f"{prefix}/{len(found)}" in arrays:
        found.append(arrays[f"{prefix}/{len(found)}"])
    return found


def flat(arrays):
    """Lay arrays end to end, float32."""
    return np.concatenate([a.reshape(-1) for a in arrays]).astype("f4")


def layout_of(arrays):
    """Return the layout of a list of arrays."""
    return Layout.from_shapes({str(i): a.shape for i, a in enumerate(arrays)})


def load_state(arrays, prefix, layout):
    """Build the flat state from prefix/state/i/key and prefix/global."""

    def each(key):
        return [
            arrays[f"{prefix}/state/{i}/{key}"]
            for i in range(len(layout.sizes))
        ]

    def scales(key):
        return np.stack([flat(each(f"{key}{s}")) for s in range(1, 5)])

    state = with_layout(HierarchicalState, layout)(
        coordinates=np.concatenate(each("parameter")).T,
        tensors=np.concatenate(each("layer")).T,
        problem=arrays[f"{prefix}/global"].T,
        scales=ScaleState(scales("grad_accum"), scales("ms")),
        input_decay=flat(each("inp_decay")),
        scale_decay=flat(each("scl_decay")),
        log_learning_rate=flat(each("log_learning_rate")),
        lead=np.zeros([0], "f4"),
    )
    return tf.nest.map_structure(tf.constant, state)


class UnrollProblem(Optimizee):
    """The golden unroll's problem: a 6-4-3 sigmoid MLP on 40 rows.

    Which minibatch belongs to a seed is looked up in the seeds of the five
    steps after `FIRST_STEP` of the episode `SEED`.
    """

    def __init__(self, arrays, start):
        self.data = tf.constant(arrays["data"])
        self.labels = tf.constant(arrays["labels"].astype("i4"))
        self.batches = tf.constant(arrays["batches"].astype("i4"))
        self.start = tf.constant(flat(start))
        self.layout = layout_of(start)
        carry = Carry((), (), (), tf.constant(0), SEED)
        self._seeds = tf.stack(
            [
                batch_seed(carry._replace(step=tf.constant(FIRST_STEP + t)))
                for t in range(len(arrays["batches"]))
            ]
        )

    def reset(self, seed):
        del seed
        return self.start, ()

    def sample(self, seed):
        step = tf.argmax(tf.reduce_all(self._seeds == seed, axis=1))
        rows = tf.gather(self.batches, step)
        return tf.gather(self.data, rows), tf.gather(self.labels, rows)

    def sample_objective(self, seed):
        del seed
        return self.data, self.labels

    def loss(self, params, constants, batch):
        del constants
        w, b, v, c = self.layout.split(params)
        images, labels = batch
        logits = tf.sigmoid(images @ w + b) @ v + c
        return tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        )


def unroll_carry(arrays, prefix, params):
    """Return the carry before the golden unroll, from the carried state."""
    layout = layout_of(params)
    return Carry(
        params=tf.constant(flat(params)),
        constants=(),
        states=load_state(arrays, f"{prefix}carried", layout),
        step=tf.constant(FIRST_STEP),
        seed=SEED,
    )
