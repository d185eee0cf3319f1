"""Pictures of a bundle: small files that still look like the figure."""

import numpy as np
from PIL import Image

from aeroact.export import figure


def test_a_picture_is_small_the_same_each_time_and_looks_like_the_figure(tmp_path):
    rng = np.random.default_rng(0)
    truth = rng.random((20_000, 4))
    noisy = np.clip(truth + 0.05 * rng.standard_normal(truth.shape), 0, 1)
    panels = {"one": noisy, "other": noisy**2}
    figure.predicted_against_simulated(truth, panels).savefig(tmp_path / "plain.png")
    for name in ("small.png", "again.png"):
        figure.save(tmp_path / name, figure.predicted_against_simulated(truth, panels))
    assert (tmp_path / "small.png").read_bytes() == (tmp_path / "again.png").read_bytes()
    assert (tmp_path / "small.png").stat().st_size < 0.5 * (tmp_path / "plain.png").stat().st_size
    small, plain = (
        np.asarray(Image.open(tmp_path / name).convert("RGB"), float)
        for name in ("small.png", "plain.png")
    )
    assert small.shape == plain.shape
    assert np.abs(small - plain).mean() < 2.0
