"""Operative configurations, flattened."""

import gin

from l2o_tf.meta_training.hyperparameters import hyperparameters

TEXT = """
import l2o_tf.somewhere
# Macros:
# ==============================================================================
rate = 0.001
seed = 3

# Parameters for meta/Adam:
# ==============================================================================
meta/Adam.learning_rate = %rate
meta/Adam.epsilon = 1e-08
meta/Adam.name = None

# Parameters for Trainer:
# ==============================================================================
Trainer.cell = @DMLSTM()
Trainer.jit_compile = False
Trainer.num_episodes = 6
Trainer.seed = %seed
Trainer.restored = 'weights'
a/b/Curriculum.horizons = (100, 200, %seed)
Ensemble.members = [('x', @Quadratic), {'y': -1.5}]
Other.value = %unknown
long.name.Class.words = \\
    ('a very long '
     'text')
"""


def test_names_have_scopes_and_values_their_kinds():
    assert hyperparameters(TEXT) == {
        "rate": 0.001,
        "seed": 3,
        "meta/Adam.learning_rate": 0.001,
        "meta/Adam.epsilon": 1e-08,
        "meta/Adam.name": "None",
        "Trainer.cell": "@DMLSTM()",
        "Trainer.jit_compile": False,
        "Trainer.num_episodes": 6,
        "Trainer.seed": 3,
        "Trainer.restored": "weights",
        "a/b/Curriculum.horizons": "(100, 200, %seed)",
        "Ensemble.members": "[('x', @Quadratic), {'y': -1.5}]",
        "Other.value": "%unknown",
        "long.name.Class.words": "a very long text",
    }


def test_an_empty_configuration_has_none():
    assert hyperparameters("# nothing\n") == {}


@gin.configurable(module="hyperparameters_test")
def looked_at(size, rate=0.5, kind="a", flag=True):
    return size, rate, kind, flag


def test_gins_own_text_is_read_with_the_defaults_that_were_used():
    gin.parse_config(
        "number = 4\n"
        "looked_at.size = %number\n"
        "other/looked_at.size = 5\n"
        "other/looked_at.kind = 'b'\n"
    )
    words = 30 * "a long text that takes more than a line "
    gin.parse_config(f"third/looked_at.kind = {words!r}")
    for scope in ("third", None):
        with gin.config_scope(scope):
            looked_at()
    with gin.config_scope("other"):
        looked_at()
    found = hyperparameters(gin.operative_config_str())
    assert found["looked_at.size"] == 4
    assert found["third/looked_at.kind"] == words
    assert found["looked_at.rate"] == 0.5
    assert found["looked_at.flag"] is True
    assert found["other/looked_at.size"] == 5
    assert found["other/looked_at.kind"] == "b"
