"""What settings may be chosen from: names alone, so that `--help` loads nothing else."""

from typing import Literal

WIDTHS = (8, 16, 32, 64, 128, 256, 512, 1024, 2048)
"""Nodes that a hidden layer may have (Yu et al., 2024, section 4.2)."""

Algorithm = Literal["random", "hyperband", "bayesian"]
"""How architectures are chosen."""

Rule = Literal["none", "median", "asha"]
"""How a hopeless trial is told; see `aeroact.hpo.prune`."""

Policy = Literal["best", "pareto"]
"""Which trials are retrained; see `aeroact.hpo.shortlist`."""

CostMeasure = Literal["params", "time"]
"""What a network costs."""

Activation = Literal["relu", "relu2"]
"""Function of the hidden layers: max(x, 0), or its square (So et al., 2021, arXiv:2109.08668)."""

Schedule = Literal["constant", "cosine", "onecycle"]
"""How the learning rate changes from step to step; see `aeroact.hpo.training`."""

Mode = Literal["accum", "aitken", "coarse", "pcarbon", "all"]
"""One of the aerosol modes, as `aeroact.schema.MODES` has them, or all."""
