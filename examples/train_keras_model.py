"""Train a Keras model with a learned optimizer, beside Keras' own Adam.

    python examples/train_keras_model.py

What one sees: the loss of a small network on MNIST after every epoch, with
RNNprop as meta-trained in this package (no download, no learning rate to
choose) and with Adam. Half a minute on two cores.
"""

import argparse

import keras

import l2o_tf
from l2o_tf.datasets.images import load_images


def build_model() -> keras.Model:
    """Return a network of 16,330 parameters, the same start every time."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Rescaling(1.0 / 255.0),
            keras.layers.Flatten(),
            keras.layers.Dense(20, activation="relu"),
            keras.layers.Dense(20, activation="relu"),
            keras.layers.Dense(10),
        ]
    )


def main() -> None:
    """Train one model with each optimizer."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--optimizer", default="rnnprop_cl_il")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=78, help="of an epoch")
    args = parser.parse_args()

    mnist = load_images("mnist")
    if mnist.notice:
        print(mnist.notice)
    train, test = mnist.split("train"), mnist.split("test")

    optimizers = {
        args.optimizer: l2o_tf.keras_optimizer(args.optimizer),
        "adam": keras.optimizers.Adam(),
    }
    print("Trained optimizers in the package:", *l2o_tf.pretrained())
    for name, optimizer in optimizers.items():
        model = build_model()
        model.compile(
            optimizer=optimizer,
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        examples = 128 * args.steps
        for epoch in range(args.epochs):
            model.fit(
                train.images[:examples],
                train.labels[:examples],
                batch_size=128,
                verbose=0,
            )
            loss, accuracy = model.evaluate(
                test.images[:2000], test.labels[:2000], verbose=0
            )
            print(
                f"{name:>14} epoch {epoch + 1}: test loss {loss:.3f}, "
                f"accuracy {accuracy:.3f}"
            )


if __name__ == "__main__":
    main()
