"""Packaging of l2o_tf.

What is needed to run is listed in requirements.txt, what is needed to develop
here.
"""

import pathlib
import runpy

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).resolve().parent
ENGINE = "tensorflow"
HAS_CPU_BUILD = (
    "sys_platform != 'darwin' and "
    "(platform_machine == 'x86_64' or platform_machine == 'AMD64')"
)
NO_CPU_BUILD = (
    "sys_platform == 'darwin' or "
    "(platform_machine != 'x86_64' and platform_machine != 'AMD64')"
)
DEVELOPMENT = [
    "hypothesis>=6.168,<7",
    "mypy>=2.4,<3",
    "packaging>=26,<27",
    "pytest>=9.0,<10",
    "pytest-xdist>=3.8,<4",
    "ruff>=0.17.5,<0.18",
]


def requirements() -> tuple[list[str], str]:
    """Return what requirements.txt lists, and apart the engine's range."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    listed = [line for line in lines if line and not line.startswith("#")]
    (engine,) = (line for line in listed if line.startswith(f"{ENGINE}>"))
    listed.remove(engine)
    return listed, engine.removeprefix(ENGINE)


base, engine_range = requirements()

setup(
    name="l2o_tf",
    version=runpy.run_path(str(ROOT / "l2o_tf" / "version.py"))["__version__"],
    description="Learned optimizers in TensorFlow 2 and Keras 3",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    classifiers=[
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
    python_requires=">=3.10",
    packages=find_packages(include=["l2o_tf", "l2o_tf.*"]),
    package_data={
        "l2o_tf.interop": ["trained/*"],
        "l2o_tf.datasets": ["embedded_data/*"],
    },
    install_requires=base,
    extras_require={
        "cpu": [
            f"tensorflow-cpu{engine_range}; {HAS_CPU_BUILD}",
            f"tensorflow{engine_range}; {NO_CPU_BUILD}",
        ],
        "gpu": [f"tensorflow[and-cuda]{engine_range}"],
        "dev": DEVELOPMENT,
    },
)
