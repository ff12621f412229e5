"""Figure 2d: each learning rate's run is Adam's, and neighbours part."""

import numpy as np
import pytest
import tensorflow as tf
from support.closed_form import NoisyQuadratic

from l2o_tf.core import seeds
from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.learned.trainable_adam import TrainableAdam
from l2o_tf.optimizees.mlp import MLP
from l2o_tf.studies import chaos
from l2o_tf.studies.chaos import LearningRateStudy
from l2o_tf.unroll.carry import start_episode
from l2o_tf.unroll.engine import unroll

QUADRATIC = NoisyQuadratic([0.5, 1.0, 3.0], [1.0, -2.0, 0.7], dtype="float32")


def go_on():
    return True


def study(problem=QUADRATIC, **options):
    return LearningRateStudy(
        problem,
        **{
            "num_rates": 3,
            "steps": 5,
            "seed": 2,
            "jit_compile": False,
            **options,
        },
    )


def test_every_run_is_adams_from_the_same_start():
    found = study(lowest=0.1, highest=0.4).run(go_on)
    np.testing.assert_allclose(found["learning_rates"], [0.1, 0.2, 0.4])
    seed = seeds.fold_in(seeds.make_seed(2), 0)
    ends = []
    for k, rate in enumerate((0.1, 0.2, 0.4)):
        cell = TrainableAdam(rate)
        start = start_episode(cell, QUADRATIC, seed)
        end, losses = unroll(
            cell, QUADRATIC, start, 5, collect=lambda step: step.loss
        )
        np.testing.assert_allclose(found["losses"][k], losses, rtol=1e-4)
        ends.append(end.params.numpy())
    np.testing.assert_allclose(
        found["separations"],
        np.linalg.norm(np.diff(ends, axis=0), axis=1),
        rtol=1e-4,
    )
    np.testing.assert_allclose(
        found["travelled"],
        np.linalg.norm(ends - QUADRATIC.x0, axis=1),
        rtol=1e-4,
    )


def test_projections_begin_together_and_part_with_the_rates():
    found = study().run(go_on)
    paths = found["projections"]
    assert paths.shape == (3, 6, 2)
    np.testing.assert_array_equal(paths[0, 0], paths[1, 0])
    # A first step of Adam is the rate, in the gradient's sign.
    moved = np.linalg.norm(paths[:, 1] - paths[:, 0], axis=1)
    np.testing.assert_allclose(
        moved / moved[0],
        found["learning_rates"] / found["learning_rates"][0],
        rtol=1e-4,
    )


def test_ends_part_more_on_a_relu_network_than_on_a_convex_problem():
    def amplified(problem):
        found = study(
            problem, lowest=0.1469, highest=0.1484, num_rates=5, steps=40
        ).run(go_on)
        step = np.log(0.1484 / 0.1469) / 4
        parted = found["separations"].mean() / found["travelled"].mean()
        return parted / step

    network = MLP(
        synthetic_images(height=8, width=8),
        "train",
        (32,),
        "relu",
        batch_size=16,
        initializer="glorot_uniform",
    )
    assert amplified(QUADRATIC) < 2.0
    assert amplified(network) > 3.0


def test_all_rates_share_one_trace(monkeypatch):
    made = []

    def keep(function, jit_compile):
        made.append(tf.function(function, autograph=False))
        return made[-1]

    monkeypatch.setattr(chaos, "compiled", keep)
    study().run(go_on)
    assert [f.experimental_get_tracing_count() for f in made] == [1]


def test_graph_and_xla_agree():
    graph, xla = (study(jit_compile=jit).run(go_on) for jit in (False, True))
    for name in graph:
        np.testing.assert_allclose(graph[name], xla[name], atol=1e-5)


def test_a_stopped_study_has_no_arrays():
    assert study(steps=1, jit_compile=False).run(lambda: False) is None


def test_the_configuration_is_what_the_numbers_depend_on():
    config = study().config()
    assert config.pop("optimizee")["class"] == "NoisyQuadratic"
    assert config == {
        "lowest": 0.1469,
        "highest": 0.1484,
        "num_rates": 3,
        "steps": 5,
        "seed": 2,
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lowest", 0.0),
        ("highest", 0.1469),
        ("num_rates", 1),
        ("num_rates", 0),
        ("steps", 0),
        ("seed", 0.5),
        ("seed", 2**31),
        ("jit_compile", None),
    ],
)
def test_bad_arguments_are_refused(name, value):
    with pytest.raises(ValueError, match=f"Received: {name}="):
        study(**{name: value})


def test_a_class_in_place_of_a_problem_is_refused():
    with pytest.raises(ValueError, match="Received: optimizee="):
        LearningRateStudy(MLP)
