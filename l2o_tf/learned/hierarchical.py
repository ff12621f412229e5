"""L2O-Scale: recurrent networks of coordinates, of tensors and of the problem.

Cost per coordinate and step: 3 x 10 x 22 multiplications in the lowest level,
22 numbers of state; per tensor 3 x 20 x 42 and 20 numbers. The levels above
cost next to nothing.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import gin
import keras
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.layout import Layout
from l2o_tf.core.segments import Segments, segments
from l2o_tf.core.types import Seed, Vector
from l2o_tf.learned.drawn_weight import drawn_weight
from l2o_tf.learned.gradient_scales import ScaleState, gradient_scales
from l2o_tf.learned.gru import Affine, BiasedGRU
from l2o_tf.learned.hierarchical_features import stack_features
from l2o_tf.learned.hierarchical_state import (
    HierarchicalState,
    Levels,
)
from l2o_tf.learned.hierarchical_switches import Switches, check_units
from l2o_tf.learned.learning_rates import (
    LOWEST_LOG_RATE,
    check_range,
    clip_straight_through,
    draw_log_rates,
)
from l2o_tf.learned.state_layout import layout_of, with_layout
from l2o_tf.optimizers.base import OptimizerCell, OptimizerInputs

_NORM_EPSILON = 1e-16
# The decays of `learned_decays=False`.
_FIXED_SCALE_DECAY = 0.93
_FIXED_INPUT_DECAY = 0.89


@gin.register(module="l2o_tf.learned")
@keras.saving.register_keras_serializable(package="l2o_tf")
class HierarchicalRNN(OptimizerCell):
    """Compute updates by three levels of GRUs (L2O-Scale).

    With x the features of a coordinate, `gradient_scales` of its gradient:

        x = [G_1..G_4, G_1 G_2, G_2 G_3, G_3 G_4, L_1..L_4, log lr - mu]
            L_i = ln s_i - mean_i ln s_i;   mu the mean log lr of the problem
        h_0 = GRU_0(x, h_0; A_10 h_1 + A_20 h_2)            per coordinate
        h_1 = GRU_1(mean over the tensor of [h_0, x], h_1; A_21 h_2)
        D = v_u h_0 + v_g [G_1..G_4];   D <- D / rms of D over the tensor
        decays = sigmoid(v h_0 + b)                         for the next step
        s = log lr + v_l h_0 + b_l, clipped to [-33, max_log_learning_rate]
        log lr <- lambda log lr + (1 - lambda) s,           lambda = sigmoid(m)
        u = -exp(s + o) D
        h_2 = GRU_2(h_1 of the LAST tensor, h_2)

    The gradient of the clip is that of the unclipped number. h_2 sees the last
    tensor only, as in the original program, whose weights need it
    (`problem_input="mean"` is what was meant). With the defaults there are
    8,349 weights.

    Learned initial states h_0, h_1, h_2; the learning rates start at random:
    log lr_j = c + u_j, both uniform between the halved logarithms of the range,
    c one number per tensor.

    Args:
        units: (int, int, int), of coordinates, tensors, problem.
        learned_decays: bool; False: 0.93 for mean squares, 0.89 for averages.
        learned_input_decay: bool, the same for the averages' alone.
        dynamic_output_scale: bool; False: u = -D, D not divided by its rms and
            no learning rates.
        attention: bool, whether a second read-out of h_0 says where the next
            gradient is taken: x_t - exp(s) D_att. Needs a loss that is
            measured apart (`objective="window"`).
        num_gradient_scales: int, S, 4 above.
        gradient_shortcut: bool, whether v_g is there.
        gradient_products: bool, whether the products G_i G_{i+1} are.
        log_mean_squares: bool, whether the L_i are.
        relative_learning_rate: bool, whether log lr - mu is.
        problem_learning_rate_mean: bool; False: mu is of the tensor.
        learning_rate_shortcut: bool, whether log lr - ln 1e-3 is a feature.
        extreme_indicator: bool, whether relu(log lr) - relu(ln 1e-6 - log lr)
            is one.
        chained_scale_decay: bool, whether the mean squares' decays differ from
            scale to scale, as the averages' do.
        zero_learning_rate_weights: bool; False: v_l from Normal(0, .25 / 10).
        learned_initial_state: bool; False: zeros.
        problem_input: "last" or "mean", over the tensors.
        initial_learning_rate_range: (float, float), positive.
        max_log_learning_rate: float above -33. Defaults to 33.
        seed: int, of the initial weights, and of the learning rates of an
            episode without a seed.
        dtype: str, defaults to "float32".
        name: str.

    Raises:
        ValueError: if an argument is out of range, or a feature of the learning
            rate is asked for without `dynamic_output_scale`.

    References:
        Wichrowska et al., ICML 2017, https://arxiv.org/abs/1703.04813; spec
        l2o_scale.md 1.6, 2 and 9.
    """

    def __init__(
        self,
        units: tuple[int, int, int] = (10, 20, 20),
        learned_decays: bool = True,
        learned_input_decay: bool = True,
        dynamic_output_scale: bool = True,
        attention: bool = False,
        num_gradient_scales: int = 4,
        gradient_shortcut: bool = True,
        gradient_products: bool = True,
        log_mean_squares: bool = True,
        relative_learning_rate: bool = True,
        problem_learning_rate_mean: bool = True,
        learning_rate_shortcut: bool = False,
        extreme_indicator: bool = False,
        chained_scale_decay: bool = False,
        zero_learning_rate_weights: bool = True,
        learned_initial_state: bool = True,
        problem_input: str = "last",
        initial_learning_rate_range: tuple[float, float] = (1e-6, 1e-2),
        max_log_learning_rate: float = 33.0,
        seed: int = 0,
        dtype: str = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.units = check_units(units)
        self.num_gradient_scales = checks.positive_int(
            "num_gradient_scales", num_gradient_scales
        )
        self.problem_input = checks.one_of(
            "problem_input", problem_input, ("last", "mean")
        )
        self.initial_learning_rate_range = check_range(
            "initial_learning_rate_range", initial_learning_rate_range
        )
        self.max_log_learning_rate = checks.real(
            "max_log_learning_rate",
            max_log_learning_rate,
            low=LOWEST_LOG_RATE,
            low_open=True,
        )
        self.seed = seed
        self.switches = Switches(
            learned_decays=learned_decays,
            learned_input_decay=learned_input_decay,
            dynamic_output_scale=dynamic_output_scale,
            attention=attention,
            gradient_shortcut=gradient_shortcut,
            gradient_products=gradient_products,
            log_mean_squares=log_mean_squares,
            relative_learning_rate=relative_learning_rate,
            problem_learning_rate_mean=problem_learning_rate_mean,
            learning_rate_shortcut=learning_rate_shortcut,
            extreme_indicator=extreme_indicator,
            chained_scale_decay=chained_scale_decay,
            zero_learning_rate_weights=zero_learning_rate_weights,
            learned_initial_state=learned_initial_state,
        )
        self.switches.check()
        self.looks_ahead = attention
        self._add_levels(seeds.fold_in(seeds.make_seed(seed), 0))
        self._add_readouts(seeds.fold_in(seeds.make_seed(seed), 1))
        self.built = True

    def _add_levels(self, seed: Seed) -> None:
        """Make the GRUs, the maps between them and their initial states."""
        low, middle, high = self.units
        features = self.num_features
        pooled = features if self._pools_features else 0
        child = functools.partial(seeds.fold_in, seed)
        dtype = self.compute_dtype
        self.level_0 = BiasedGRU(
            features, low, child(0), name="level_0", dtype=dtype
        )
        self.level_1 = BiasedGRU(
            low + pooled, middle, child(1), name="level_1", dtype=dtype
        )
        self.level_2 = BiasedGRU(
            middle, high, child(2), name="level_2", dtype=dtype
        )
        self.level_1_to_0 = Affine(
            middle, 3 * low, child(3), name="level_1_to_0", dtype=dtype
        )
        self.level_2_to_0 = Affine(
            high, 3 * low, child(4), name="level_2_to_0", dtype=dtype
        )
        self.level_2_to_1 = Affine(
            high, 3 * middle, child(5), name="level_2_to_1", dtype=dtype
        )
        self.initial_states = []
        if self.switches.learned_initial_state:
            for i, units in enumerate(self.units):
                drawn = seeds.uniform(child(6 + i), [units], -1.0, 1.0)
                self.initial_states.append(
                    self._weight(f"level_{i}_init", drawn)
                )

    def _add_readouts(self, seed: Seed) -> None:
        """Make what turns h_0 into directions, decays and learning rates."""
        units, scales = self.units[0], self.num_gradient_scales
        on = self.switches
        spread = 0.5 / math.sqrt(units)

        def normal(i: int, size: int, stddev: float) -> Vector:
            return seeds.normal(seeds.fold_in(seed, i), [size], stddev)

        def shortcut(i: int) -> Vector:
            return 1.0 / scales + normal(i, scales, 0.1 / math.sqrt(scales))

        direction = normal(0, units, spread)
        self.update_weights = self._weight("update_weights", direction)
        if on.gradient_shortcut:
            self.gradient_shortcut = self._weight(
                "gradient_shortcut", shortcut(1)
            )
        if on.attention:
            self.attention_weights = self._weight(
                "attention_weights", direction
            )
            if on.gradient_shortcut:
                self.attention_shortcut = self._weight(
                    "attention_shortcut", shortcut(2)
                )
        if on.learned_decays:
            self.scale_decay_weights = self._weight(
                "scale_decay_weights", normal(3, units, spread)
            )
            self.scale_decay_bias = self._weight("scale_decay_bias", 3.2)
        if on.learned_decays and on.learned_input_decay:
            self.input_decay_weights = self._weight(
                "input_decay_weights", normal(4, units, spread)
            )
            self.input_decay_bias = self._weight("input_decay_bias", 2.2)
        if on.dynamic_output_scale:
            zero = on.zero_learning_rate_weights
            self.learning_rate_weights = self._weight(
                "learning_rate_weights",
                normal(5, units, 0.0 if zero else spread),
            )
            self.learning_rate_bias = self._weight("learning_rate_bias", 0.0)
            self.learning_rate_momentum_logit = self._weight(
                "learning_rate_momentum_logit", 3.2
            )
            self.step_size_offset = self._weight("step_size_offset", -1.0)

    def _weight(self, name: str, value: tf.Tensor | float) -> keras.Variable:
        """Add a weight that starts from a tensor or from one number."""
        return drawn_weight(self, name, tf.convert_to_tensor(value))

    @property
    def num_features(self) -> int:
        """How many numbers GRU_0 sees of a coordinate, 12 by default."""
        scales, on = self.num_gradient_scales, self.switches
        return (
            scales
            + (scales - 1) * on.gradient_products
            + scales * on.log_mean_squares
            + on.relative_learning_rate
            + on.learning_rate_shortcut
            + on.extreme_indicator
        )

    @property
    def _pools_features(self) -> bool:
        """Whether GRU_1 sees x: not if it is the scaled gradients alone."""
        return self.num_features > self.num_gradient_scales

    def get_initial_state(
        self, layout: Layout, seed: Seed | None = None
    ) -> HierarchicalState:
        """Return the learned initial states, zeros, and random rates."""
        dtype, n = self.compute_dtype, layout.size
        levels = [tf.zeros([units], dtype) for units in self.units]
        if self.initial_states:
            levels = [tf.convert_to_tensor(h) for h in self.initial_states]
        widths = (n, len(layout.sizes), 1)
        coordinates, tensors, problem = (
            tf.tile(h[:, tf.newaxis], [1, width])
            for h, width in zip(levels, widths, strict=True)
        )
        zeros = tf.zeros([n], dtype)
        per_scale = tf.zeros([self.num_gradient_scales, n], dtype)
        rates = zeros
        if self.switches.dynamic_output_scale:
            if seed is None:
                seed = seeds.fold_in(seeds.make_seed(self.seed), 2)
            drawn = draw_log_rates(
                seed, layout, self.initial_learning_rate_range
            )
            rates = tf.cast(drawn, dtype)
        return with_layout(HierarchicalState, layout)(
            coordinates=coordinates,
            tensors=tensors,
            problem=problem,
            scales=ScaleState(per_scale, per_scale),
            input_decay=zeros,
            scale_decay=zeros,
            log_learning_rate=rates,
            lead=tf.zeros([n if self.switches.attention else 0], dtype),
        )

    def keep_memory(
        self, fresh: HierarchicalState, old: HierarchicalState
    ) -> HierarchicalState:
        """Return the old state; where it looked belongs to the old params."""
        return old._replace(lead=fresh.lead)

    def look_ahead(self, params: Vector, states: HierarchicalState) -> Vector:
        """Return the attended params, or the params."""
        return params + states.lead if self.switches.attention else params

    def call(
        self, inputs: OptimizerInputs, states: HierarchicalState
    ) -> tuple[Vector, HierarchicalState]:
        """Compute one update; see the class."""
        of = segments(layout_of(states))
        levels = self._levels(inputs.gradient, states, of)
        update, rates, lead = self._move(
            levels.coordinates, levels.scaled, states, of
        )
        return update, states._replace(
            coordinates=levels.coordinates,
            tensors=levels.tensors,
            problem=levels.problem,
            scales=levels.scales,
            input_decay=self._input_decay(levels.coordinates),
            scale_decay=self._scale_decay(levels.coordinates),
            log_learning_rate=rates,
            lead=lead,
        )

    def activations(
        self, inputs: OptimizerInputs, states: HierarchicalState
    ) -> dict[str, tf.Tensor]:
        """Return what the gates of the three levels do in one step."""
        of = segments(layout_of(states))
        levels = self._levels(inputs.gradient, states, of)
        return {
            f"level_{i}/{gate}": values
            for i, gates in enumerate(levels.gates)
            for gate, values in gates._asdict().items()
        }

    def _levels(
        self, gradient: Vector, states: HierarchicalState, of: Segments
    ) -> Levels:
        """Step the GRUs of coordinates, tensors and problem."""
        scaled, logarithms, scales = gradient_scales(
            gradient,
            states.scales,
            states.input_decay,
            states.scale_decay,
            of,
            self.switches.chained_scale_decay,
        )
        features = stack_features(
            self.switches, scaled, logarithms, states.log_learning_rate, of
        )
        bias = of.spread(
            self.level_1_to_0.call(states.tensors)
            + self.level_2_to_0.call(states.problem)
        )
        low = self.level_0.gates(features, states.coordinates, bias)
        coordinates = low.next_hidden(states.coordinates)
        pooled = [coordinates]
        if self._pools_features:
            pooled.append(features)
        middle = self.level_1.gates(
            of.mean(tf.concat(pooled, axis=0)),
            states.tensors,
            self.level_2_to_1.call(states.problem),
        )
        tensors = middle.next_hidden(states.tensors)
        heard = tensors[:, -1:]
        if self.problem_input == "mean":
            heard = tf.reduce_mean(tensors, axis=1, keepdims=True)
        high = self.level_2.gates(heard, states.problem, None)
        return Levels(
            coordinates,
            tensors,
            high.next_hidden(states.problem),
            scaled,
            scales,
            (low, middle, high),
        )

    def _move(
        self,
        hidden: tf.Tensor,
        scaled: tf.Tensor,
        states: HierarchicalState,
        of: Segments,
    ) -> tuple[Vector, Vector, Vector]:
        """Return the update, the new log learning rates and the lead."""
        on, rates = self.switches, states.log_learning_rate
        shortcut = self.gradient_shortcut if on.gradient_shortcut else None
        step = self._direction(
            self.update_weights, shortcut, hidden, scaled, of
        )
        rate = tf.ones_like(rates)
        if on.dynamic_output_scale:
            proposed = clip_straight_through(
                # The change first: added one by one, both may be lost.
                rates
                + (
                    _product(self.learning_rate_weights, hidden)
                    + tf.convert_to_tensor(self.learning_rate_bias)
                ),
                LOWEST_LOG_RATE,
                self.max_log_learning_rate,
            )
            keep = tf.sigmoid(
                tf.convert_to_tensor(self.learning_rate_momentum_logit)
            )
            rates = keep * rates + (1.0 - keep) * proposed
            rate = tf.exp(proposed)
            offset = tf.convert_to_tensor(self.step_size_offset)
            step = tf.exp(proposed + offset) * step
        if not on.attention:
            return -step, rates, states.lead
        shortcut = self.attention_shortcut if on.gradient_shortcut else None
        attended = rate * self._direction(
            self.attention_weights, shortcut, hidden, scaled, of
        )
        return -step, rates, step - attended

    def _direction(
        self,
        weights: keras.Variable,
        shortcut: keras.Variable | None,
        hidden: tf.Tensor,
        scaled: tf.Tensor,
        of: Segments,
    ) -> Vector:
        """Read a direction out, `[N]`, of rms 1 in every tensor."""
        direction = _product(weights, hidden)
        if shortcut is not None:
            direction += _product(shortcut, scaled)
        if not self.switches.dynamic_output_scale:
            return direction
        squares = of.mean(tf.square(direction)[tf.newaxis])
        inverse = 1.0 / tf.sqrt(squares + _NORM_EPSILON)
        return direction * of.spread(inverse)[0]

    def _scale_decay(self, hidden: tf.Tensor) -> Vector:
        if not self.switches.learned_decays:
            return tf.zeros_like(hidden[0]) + _FIXED_SCALE_DECAY
        bias = tf.convert_to_tensor(self.scale_decay_bias)
        return tf.sigmoid(_product(self.scale_decay_weights, hidden) + bias)

    def _input_decay(self, hidden: tf.Tensor) -> Vector:
        on = self.switches
        if not (on.learned_decays and on.learned_input_decay):
            return tf.zeros_like(hidden[0]) + _FIXED_INPUT_DECAY
        bias = tf.convert_to_tensor(self.input_decay_bias)
        return tf.sigmoid(_product(self.input_decay_weights, hidden) + bias)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "units": self.units,
            **self.switches._asdict(),
            "num_gradient_scales": self.num_gradient_scales,
            "problem_input": self.problem_input,
            "initial_learning_rate_range": self.initial_learning_rate_range,
            "max_log_learning_rate": self.max_log_learning_rate,
            "seed": self.seed,
            "dtype": self.compute_dtype,
            "name": self.name,
        }


def _product(weights: keras.Variable, columns: tf.Tensor) -> Vector:
    """Compute w^T x of every column: `[F]`, `[F, N]` to `[N]`."""
    row = tf.convert_to_tensor(weights)[tf.newaxis]
    return tf.matmul(row, columns)[0]
