"""Configuration by gin, strictly.

A name that no class has, a binding that nothing consumes, a file that does
not exist: each is an error before the first step. The house's own files live
in the top-level folder `gin/`, which `include` lines reach from anywhere.
"""

from __future__ import annotations

import difflib
import os
import pathlib
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

import gin
from absl import logging

# Imported for what they register: a class that is registered after the
# configuration is closed cannot be bound.
from l2o_tf.datasets import (  # noqa: F401
    embedded,
    images,
    synthetic,
    tabular,
)
from l2o_tf.estimators import smoothed, tbptt  # noqa: F401
from l2o_tf.evaluation import (  # noqa: F401
    candidates,
    comparison,
    contenders,
    sweep,
    tuning,
)
from l2o_tf.interop import pretrained, released_weights  # noqa: F401
from l2o_tf.learned import collection as cells  # noqa: F401
from l2o_tf.meta_training import (  # noqa: F401
    asynchronous,
    synchronous,
    trainer,
)
from l2o_tf.optimizees import collection as optimizees
from l2o_tf.optimizees import (  # noqa: F401
    combination,
    convex,
    ensemble,
    keras_model,
)
from l2o_tf.optimizers import decayed_adam, repaired  # noqa: F401
from l2o_tf.studies import (  # noqa: F401
    chaos,
    momentum,
    outer_training,
    slices,
    truncation_bias,
)
from l2o_tf.techniques import (  # noqa: F401
    curriculum,
    fine_tuning,
    imitation,
    random_scaling,
    self_improving,
    teachers,
)
from l2o_tf.unroll import (  # noqa: F401
    growing_windows,
    meta_losses,
    random_windows,
    schedules,
)

# What a command line names, a file may name too.
gin.register("pretrained", module="l2o_tf.interop")(pretrained.load)
gin.register(module="l2o_tf.optimizees")(optimizees.named_optimizee)

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
_T = TypeVar("_T")
_BINDING = re.compile(r"^([\w./]+)\s*=", re.MULTILINE)


class ConfigError(ValueError):
    """A configuration that cannot be used; the message says why."""


def _find(path: str) -> str:
    for candidate in (pathlib.Path(path), REPOSITORY / path):
        if candidate.is_file():
            return str(candidate)
    known = sorted(
        str(p.relative_to(REPOSITORY))
        for p in (REPOSITORY / "gin").glob("*.gin")
    )
    near = difflib.get_close_matches(path, known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ConfigError(
        f"There is no such gin file. Received: --gin_file={path!r}.{hint} "
        f"The package's own: {', '.join(known) or 'none found'}."
    )


def load(files: Sequence[str], parameters: Sequence[str] = ()) -> str:
    """Parse gin files and overrides, and close the configuration.

    Args:
        files: paths, relative to the working directory or the repository.
        parameters: bindings as text, `Trainer.num_episodes = 10`; they win.

    Returns:
        The whole configuration as canonical text: equal for equal bindings,
        whatever files and comments they came from.

    Raises:
        ConfigError: if there is no file, one is missing, or a line is not a
            binding of something that exists.
    """
    if not files:
        raise ConfigError(
            "A run needs a configuration. Received: no --gin_file. "
            "Try --gin_file=gin/dm_cl.gin."
        )
    paths = [_find(path) for path in files]
    gin.add_config_file_search_path(str(REPOSITORY))
    verbosity = logging.get_verbosity()
    # gin logs an error for every place where it does not find an include.
    logging.set_verbosity(logging.FATAL)
    try:
        gin.parse_config_files_and_bindings(
            paths, list(parameters), finalize_config=True, skip_unknown=False
        )
    except (ValueError, SyntaxError, OSError, ImportError) as error:
        raise ConfigError(
            "The configuration has a line that gin refuses. "
            f"Received: files={list(files)}, gin_param={list(parameters)}. "
            f"gin says: {error}"
        ) from error
    finally:
        logging.set_verbosity(verbosity)
    return gin.config_str()


def _bindings(text: str) -> set[str]:
    return set(_BINDING.findall(text))


def build(root: Callable[[], _T]) -> _T:
    """Call gin's root, which builds every object of the configuration.

    Raises:
        ConfigError: if an argument is missing or of a wrong type. What the
            objects themselves refuse is raised as they word it.
    """
    try:
        return root()
    except (TypeError, AttributeError) as error:
        raise ConfigError(
            "The configuration does not describe its objects fully: an "
            "argument is missing or of a wrong type. "
            f"Received: {type(error).__name__}: {error}"
        ) from error


def _is_used(binding: str, bound: set[str], operative: set[str]) -> bool:
    """Whether a call took its value from this binding.

    A call in the scope a/b takes a parameter from the longest of the scopes
    a/b, a and none that binds it.
    """
    scope, _, name = binding.rpartition("/")
    rivals = [s for s, _, n in (b.rpartition("/") for b in bound) if n == name]
    for other in operative:
        called, _, other_name = other.rpartition("/")
        around = [
            s for s in rivals if not s or f"{called}/".startswith(s + "/")
        ]
        if name == other_name and scope == max(around, key=len, default=None):
            return True
    return False


def check_all_used() -> None:
    """Refuse bindings that nothing has consumed.

    To be called when every object is built, before the first step.

    Raises:
        ConfigError: naming the unused bindings.
    """
    operative = _bindings(gin.operative_config_str())
    bound = _bindings(gin.config_str())
    unused = [
        binding
        for binding in sorted(bound)
        if not _is_used(binding, bound, operative)
    ]
    if unused:
        raise ConfigError(
            "Some bindings were used by nothing: this configuration does not "
            "build their class, or binds the parameter in a narrower scope "
            "(as train/mlp_orig.split). "
            f"Received: {', '.join(unused)}. Remove them, or bind what is "
            "built, with its scope."
        )


def name_of(files: Sequence[str]) -> str:
    """Name a run after its last gin file: gin/dm_cl.gin gives dm_cl."""
    return os.path.splitext(os.path.basename(files[-1]))[0]
