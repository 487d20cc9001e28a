"""Packages of the distribution: those of jssl/, and experiments/ as jssl.experiments. All else is in
pyproject.toml.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["jssl", "jssl.*"]), "jssl.experiments"],
    package_dir={"jssl.experiments": "experiments"},
    package_data={"jssl": ["py.typed"]},
)
