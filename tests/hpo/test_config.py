"""Settings: defaults, presets, files, the command line, and what is refused."""

from pathlib import Path

import pytest

from aeroact.errors import AeroactError
from aeroact.hpo.config import Project, project_of, settings_of
from aeroact.hpo.space import Space

ROOT = Path(__file__).resolve().parents[2]


def test_paper_preset_sets_everything_as_the_paper_had_it():
    paper = project_of(settings_of("paper", None, {}))
    assert paper.transform == "zscore"
    assert (paper.trials, paper.retrain, paper.p_subset) == (10_000, 50, 0.05)
    assert paper.p_retrain == pytest.approx(0.005)
    assert (paper.min_layers, paper.max_layers, paper.max_params) == (1, 20, None)
    assert (paper.epochs, paper.patience, paper.retrain_epochs) == (100, 5, 200)
    assert (paper.batch_size, paper.learning_rate) == (1024, 1e-3)
    assert (paper.holdout, paper.validation) == (0.8, 0.2)
    assert (paper.schedule, paper.retrain_learning_rate, paper.prune) == ("constant", None, "none")


@pytest.mark.parametrize("file", sorted((ROOT / "zoo").glob("*.toml")), ids=lambda file: file.stem)
def test_the_zoo_preset_is_what_the_released_emulators_share(file):
    released = project_of(settings_of("laptop", file, {}))
    preset = project_of(settings_of("zoo", None, {}))
    assert released.min_layers >= preset.min_layers
    for setting in ("transform", "activation", "max_layers", "schedule"):
        assert getattr(preset, setting) == getattr(released, setting)


def test_command_line_wins_over_file_wins_over_preset(tmp_path):
    config = tmp_path / "project.toml"
    config.write_text("[project]\ntrials = 70\nretrain = 7\n")
    project = project_of(settings_of("paper", config, {"trials": 80, "seed": None}))
    assert (project.trials, project.retrain, project.transform) == (80, 7, "zscore")


def test_p_retrain_is_a_fraction_of_the_trials():
    assert project_of({"trials": 200, "p_retrain": 0.05}).retrain == 10
    assert project_of({"p_retrain": 0.5}).retrain == round(Project().trials / 2)
    assert project_of({"p_retrain": 1e-9}).retrain == 1


def test_retrain_on_the_command_line_wins_over_p_retrain_in_a_file(tmp_path):
    config = tmp_path / "project.toml"
    config.write_text("trials = 100\np_retrain = 0.5\n")
    assert project_of(settings_of("laptop", config, {})).retrain == 50
    assert project_of(settings_of("laptop", config, {"retrain": 3})).retrain == 3


def test_another_space_comes_from_a_file(tmp_path):
    config = tmp_path / "space.toml"
    config.write_text(
        "widths = [10, 20]\nmin_layers = 2\nmax_layers = 30\nmax_params = 900\n"
        "learning_rates = [1e-4, 1e-3]\nbatch_sizes = [256]\n"
    )
    space = project_of(settings_of("paper", config, {})).space
    assert space == Space(2, 30, (10, 20), 900, (1e-4, 1e-3), (256,))
    assert project_of(settings_of("paper", None, {})).space == Space()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"trials": 0}, "trials"),
        ({"p_subset": 1.5}, "p_subset"),
        ({"holdout": 1.0}, "holdout"),
        ({"learning_rate": "fast"}, "learning_rate"),
        ({"min_layers": 5, "max_layers": 3}, "min_layers 5 exceeds max_layers 3"),
        ({"activation": "relu2"}, r"not learn in more than 4 .* max_layers is 20; .*--max-layers"),
        ({"layers": 3}, "layers"),
        ({"widths": []}, "widths"),
        ({"widths": [8, 0]}, "widths"),
        ({"algorithm": "bayesian", "prune": "asha"}, "prune = asha needs algorithm = random"),
        ({"p_retrain": 1.5}, "p_retrain"),
        ({"droplet_weight": -1.0}, "droplet_weight"),
        ({"monotony_weight": "inf"}, "monotony_weight"),
        ({"retrain_droplet_weight": -1.0}, "retrain_droplet_weight"),
    ],
)
def test_a_wrong_setting_is_named(settings, named):
    with pytest.raises(AeroactError, match=named):
        project_of(settings)


@pytest.mark.parametrize(("text", "said"), [("trials = ", "not TOML"), (None, "cannot read")])
def test_a_wrong_file_is_named(tmp_path, text, said):
    config = tmp_path / "project.toml"
    if text is not None:
        config.write_text(text)
    with pytest.raises(AeroactError, match=f"{config}.*{said}"):
        settings_of("laptop", config, {})
