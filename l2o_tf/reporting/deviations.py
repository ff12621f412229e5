"""Where the evaluation is not that of the papers or of their programs."""

from __future__ import annotations

from typing import NamedTuple

from l2o_tf.evaluation.curves import TAIL


class Deviation(NamedTuple):
    """Where the evaluation is not the paper's or the released program's.

    Attributes:
        what: str.
        there: str, in the paper or in the released program.
        here: str.
    """

    what: str
    there: str
    here: str


DEVIATIONS = (
    Deviation(
        "runs",
        "paper: the average of ten; program: one process per run",
        "the seeds stand beside each value; a seed gives every optimizer the "
        "same start and the same minibatches",
    ),
    Deviation(
        "end value",
        "read by eye off the published pictures, whose smoothing is not "
        "described",
        f"the mean of a run's last {TAIL} losses",
    ),
    Deviation(
        "diverged runs",
        "not mentioned",
        "counted; not in the mean",
    ),
    Deviation(
        "hand-designed optimizers",
        "program: Adam alone, on the train split, the loss before the update "
        "on the gradient's minibatch",
        "as the learned ones: same start, minibatches and split, the loss "
        "after the update on a fresh minibatch",
    ),
    Deviation(
        "their tuning",
        "paper: a grid search, the grid not stated",
        "grids, with every candidate's score in this text; tuning has its own "
        "seeds",
    ),
    Deviation(
        "weights of L2O-Scale",
        "released: one checkpoint of L2O-Scale-CL-IL, after 6 meta-updates; "
        "L2O-Scale and L2O-Scale-Meta are not",
        "`scale_cl_il` is that checkpoint; `scale` and `scale_meta` are "
        "trained here; README.md says how far",
    ),
    Deviation(
        "L2O-Scale's runs",
        "its program: the loss before the update, on the gradient's minibatch",
        "the protocol of L2O-DM's program: the loss after the update, on a "
        "fresh minibatch",
    ),
    Deviation(
        "L2O-Scale on Conv-MNIST and Conv-CIFAR",
        "its program: batch normalisation that only scales, by 0.9995",
        "batch normalisation by the minibatch, as in L2O-DM's program "
        "(`mnist_conv_inert` is the other)",
    ),
    Deviation(
        "Conv-MNIST, Conv-CIFAR, NAS-CIFAR",
        "paper: neither batch normalisation nor ReLU on the logits is "
        "mentioned",
        "the program's: both, batch normalisation without parameters",
    ),
    Deviation(
        "LeNet",
        "cannot be built with the stated Sonnet",
        "Sonnet 1.3's batch normalisation: a trainable offset, no scale",
    ),
    Deviation(
        "MNIST's 5,000 held-out images",
        "the first of the original file",
        "the first in the order of tensorflow-datasets; the test split is the "
        "same 10,000 images",
    ),
    Deviation(
        "CIFAR-10 minibatches",
        "shuffled within a window of about 1,000 images",
        "drawn uniformly, with replacement",
    ),
    Deviation(
        "Figures A2 and A3",
        "not known to us",
        "ours: all curves in one place, by updates and by seconds",
    ),
)

SIMPLE_DEVIATIONS = (
    Deviation(
        "what is measured",
        "the training loss; of which examples is not said",
        "the loss after each update, on a fresh minibatch of the train split",
    ),
    Deviation(
        "runs",
        "how many is not said",
        "the seeds stand beside each value",
    ),
    Deviation(
        "SGD and Adam, tuned",
        "a learning rate of 1, 0.1, 0.01, 0.001, the best reported; by what "
        "is not said",
        "the same four, by the mean of the last 100 losses of one run of the "
        "full length with a seed of its own; beside a fine-tuned optimizer by "
        "one of 1,000 updates on the same 5 % of the data",
    ),
    Deviation(
        "L2O-DM and RNNprop",
        "5,301 and 6,801 weights: two biases per gate, as it seems",
        "5,141 and 6,641: one bias",
    ),
    Deviation(
        "the training of L2O-DM and RNNprop",
        "that of SimpleOptimizer; of how many trajectories is not said",
        "the same setting and validation; README.md says how many "
        "trajectories each was given",
    ),
    Deviation(
        "Figure 2's first panel",
        "200 updates",
        "the first 200 updates of the long runs, which are the same",
    ),
    Deviation(
        "Figures 4 and 5",
        "how many updates is not known to us",
        "as many as stand beside the values",
    ),
    Deviation("Figure A1", "none", "ours"),
)
"""Of the paper of SimpleOptimizer."""
