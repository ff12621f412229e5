"""The hierarchical optimizer written tensor by tensor in NumPy, float64."""

from __future__ import annotations

import numpy as np


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def gru(weights, x, h, beta):
    """Rows are columns: x [n, F], h [n, H], beta [1 or n, 3 H]."""
    wg, bg, wc, bc = weights
    units = h.shape[1]
    gates = np.concatenate([x, h], 1) @ wg + bg
    r = sigmoid(gates[:, :units] + beta[:, :units])
    z = sigmoid(gates[:, units:] + beta[:, units : 2 * units])
    c = np.tanh(np.concatenate([x, r * h], 1) @ wc + bc + beta[:, 2 * units :])
    return z * h + (1 - z) * c


class Reference:
    """Spec l2o_scale.md 2.4, one tensor after the other."""

    def __init__(self, cell, layout, state, options):
        self.w = {
            "/".join(v.path.split("/")[-2:])
            if v.path.count("/") and v.path.split("/")[-2].startswith("level_")
            else v.path.split("/")[-1]: v.numpy()
            for v in cell.trainable_variables
        }
        self.on = {**cell.get_config(), **options}
        self.bound = self.on["max_log_learning_rate"]
        self.h2 = state.problem.numpy().T
        self.tensors = []
        for i, size in enumerate(layout.sizes):
            part = slice(layout.offsets[i], layout.offsets[i] + size)
            self.tensors.append(
                {
                    "part": part,
                    "h0": state.coordinates.numpy()[:, part].T,
                    "h1": state.tensors.numpy()[:, i : i + 1].T,
                    "a": state.scales.averages.numpy()[:, part],
                    "s": state.scales.mean_squares.numpy()[:, part],
                    "d": state.input_decay.numpy()[part],
                    "e": state.scale_decay.numpy()[part],
                    "lr": state.log_learning_rate.numpy()[part],
                }
            )

    def rates(self):
        return np.concatenate([t["lr"] for t in self.tensors])

    def gru_weights(self, level):
        return [
            self.w[f"level_{level}/{name}"]
            for name in ("w_gates", "b_gates", "w_candidate", "b_candidate")
        ]

    def affine(self, name, x):
        return x @ self.w[f"{name}/w"] + self.w[f"{name}/b"]

    def features(self, t, G, mean):
        on, x = self.on, [G]
        if on["gradient_products"]:
            x.append(G[:-1] * G[1:])
        if on["log_mean_squares"]:
            logs = np.log(t["s"] + 1e-16)
            x.append(logs - logs.mean(0))
        if on["relative_learning_rate"]:
            if not on["problem_learning_rate_mean"]:
                mean = t["lr"].mean()
            x.append(t["lr"][None] - mean)
        if on["learning_rate_shortcut"]:
            x.append(t["lr"][None] - np.log(1e-3))
        if on["extreme_indicator"]:
            low = np.maximum(np.log(1e-6) - t["lr"], 0)
            x.append((np.maximum(t["lr"], 0) - low)[None])
        return np.concatenate(x)

    def scales(self, t, g):
        on, decay, e, G = self.on, t["d"], t["e"], []
        a, s = t["a"].copy(), t["s"].copy()
        for i in range(len(a)):
            a[i] = (1 - decay) * g + decay * a[i] if len(a) > 1 else g
            used = e if np.any(s[i]) else 0.0 * e
            s[i] = (1 - used) * (a[i] ** 2 + 1e-12) + used * s[i]
            G.append(np.arcsinh(a[i] / np.sqrt(s[i] + 1e-16)))
            decay = np.sqrt(decay)
            e = np.sqrt(e) if on["chained_scale_decay"] else e
        t["a"], t["s"] = a, s
        return np.array(G)

    def direction(self, h0, G, weights, shortcut):
        d = h0 @ self.w[weights]
        if self.on["gradient_shortcut"]:
            d = d + self.w[shortcut] @ G
        if self.on["dynamic_output_scale"]:
            d = d / np.sqrt(np.mean(d**2) + 1e-16)
        return d

    def step(self, g):
        on, updates, leads = self.on, [], []
        mean = self.rates().mean()
        for t in self.tensors:
            G = self.scales(t, g[t["part"]])
            x = self.features(t, G, mean).T
            beta = self.affine("level_1_to_0", t["h1"])
            beta = beta + self.affine("level_2_to_0", self.h2)
            t["h0"] = gru(self.gru_weights(0), x, t["h0"], beta)
            pooled = [t["h0"]] + ([x] if x.shape[1] > len(G) else [])
            y = np.concatenate(pooled, 1).mean(0, keepdims=True)
            beta = self.affine("level_2_to_1", self.h2)
            t["h1"] = gru(self.gru_weights(1), y, t["h1"], beta)
            d = self.direction(
                t["h0"], G, "update_weights", "gradient_shortcut"
            )
            rate = step = np.ones_like(d)
            if on["dynamic_output_scale"]:
                s = t["lr"] + t["h0"] @ self.w["learning_rate_weights"]
                s = s + self.w["learning_rate_bias"]
                s = np.clip(s, -33.0, self.bound)
                keep = sigmoid(self.w["learning_rate_momentum_logit"])
                t["lr"] = keep * t["lr"] + (1 - keep) * s
                rate = np.exp(s)
                step = np.exp(s + self.w["step_size_offset"])
            updates.append(-step * d)
            if on["attention"]:
                attended = self.direction(
                    t["h0"], G, "attention_weights", "attention_shortcut"
                )
                leads.append(step * d - rate * attended)
            self.decays(t)
        heard = [t["h1"] for t in self.tensors]
        last = on["problem_input"] == "last"
        heard = heard[-1] if last else np.mean(heard, axis=0)
        none = np.zeros([1, 3 * self.h2.shape[1]])
        self.h2 = gru(self.gru_weights(2), heard, self.h2, none)
        lead = np.concatenate(leads) if leads else np.zeros(0)
        return np.concatenate(updates), lead

    def decays(self, t):
        on, w = self.on, self.w
        ones = np.ones_like(t["d"])
        t["e"], t["d"] = 0.93 * ones, 0.89 * ones
        if on["learned_decays"]:
            t["e"] = sigmoid(
                t["h0"] @ w["scale_decay_weights"] + w["scale_decay_bias"]
            )
            if on["learned_input_decay"]:
                t["d"] = sigmoid(
                    t["h0"] @ w["input_decay_weights"] + w["input_decay_bias"]
                )
