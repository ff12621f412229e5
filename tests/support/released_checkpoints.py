"""Checkpoints as the original L2O-Scale program writes them, made of noise."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

NAME = "model.ckpt-0"
DATA = f"{NAME}.data-00000-of-00001"
# Spec l2o_scale.md 7, as its table has it; shapes of 2.1.
FLAT = {
    "level0_init": ("Level0_RNN/init_vector", (1, 10)),
    "level1_init": ("Level1_RNN/init_vector", (1, 20)),
    "level2_init": ("Level2_RNN/init_vector", (1, 20)),
    "update_kernel": ("update_weights", (10, 1)),
    "grad_shortcut_kernel": ("PerTensor/GradsToDelta/Matrix", (4, 1)),
    "scl_decay_kernel": ("scl_decay_weights", (10, 1)),
    "scl_decay_bias": ("scl_decay_bias", (1,)),
    "inp_decay_kernel": ("inp_decay_weights", (10, 1)),
    "inp_decay_bias": ("inp_decay_bias", (1,)),
    "lr_kernel": ("learning_rate_weights", (10, 1)),
    "lr_bias": ("learning_rate_bias", (1,)),
    "lr_momentum_logit": ("PerTensor/learning_rate_momentum_logit", ()),
    "stepsize_offset": ("PerTensor/param_stepsize_offset", ()),
}
for flat, scope, rows, columns in (
    ("level0_gates", "PerTensor/Layer0_RNN/BiasGRUCell/gates", 22, 20),
    ("level0_cand", "PerTensor/Layer0_RNN/BiasGRUCell/candidate", 22, 10),
    ("level1_gates", "PerTensor/Layer1_RNN/BiasGRUCell/gates", 42, 40),
    ("level1_cand", "PerTensor/Layer1_RNN/BiasGRUCell/candidate", 42, 20),
    ("level2_gates", "Layer2_RNN/BiasGRUCell/gates", 40, 40),
    ("level2_cand", "Layer2_RNN/BiasGRUCell/candidate", 40, 20),
    ("l1_to_l0", "PerTensor/Layer0_RNN/Param", 20, 30),
    ("l2_to_l0", "PerTensor/Layer0_RNN/Global", 20, 30),
    ("l2_to_l1", "PerTensor/Layer1_RNN", 20, 60),
):
    FLAT[f"{flat}_kernel"] = (f"{scope}/Affine/Matrix", (rows, columns))
    FLAT[f"{flat}_bias"] = (f"{scope}/Affine/Bias", (columns,))
SLOTS = {"rmsprop_ms/": "/RMSProp", "rmsprop_mom/": "/RMSProp_1"}


def random_arrays():
    """Return the 94 entries by the names of the .npz file."""
    draw = np.random.default_rng(5)
    arrays = {"global_step": np.int64(17)}
    for flat, (_, shape) in FLAT.items():
        for slot in ("", *SLOTS):
            value = np.asarray(draw.normal(size=shape), "f4")
            arrays[slot + flat] = value
    return arrays


def by_variable(arrays):
    """Return the arrays by the names of the checkpoint."""
    named = {"global_step": arrays["global_step"]}
    for flat, (variable, _) in FLAT.items():
        named[f"LOL/{variable}"] = arrays[flat]
        for ours, theirs in SLOTS.items():
            named[f"LOL/{variable}{theirs}"] = arrays[ours + flat]
    return named


def save_checkpoint(folder, variables):
    """Write a checkpoint as TensorFlow 1 does."""
    folder.mkdir(parents=True)
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        made = {
            name: v1.Variable(value, name=f"v{i}", use_resource=False)
            for i, (name, value) in enumerate(variables.items())
        }
        session.run(v1.global_variables_initializer())
        v1.train.Saver(made).save(session, str(folder / NAME))
