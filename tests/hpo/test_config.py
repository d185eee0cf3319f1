"""Settings: defaults, the paper's preset, files, the command line, and what is refused."""

import pytest

from aeroact.errors import AeroactError
from aeroact.hpo.config import Project, project_of, settings_of


def test_paper_preset_sets_everything_as_the_paper_had_it():
    paper = project_of(settings_of("paper", None, {}))
    assert paper.transform == "zscore"
    assert (paper.trials, paper.retrain, paper.p_subset) == (10_000, 50, 0.05)
    assert paper.p_retrain == pytest.approx(0.005)
    assert (paper.min_layers, paper.max_layers, paper.max_params) == (1, 20, None)
    assert (paper.epochs, paper.patience, paper.retrain_epochs) == (100, 5, 200)
    assert (paper.batch_size, paper.learning_rate) == (1024, 1e-3)
    assert (paper.holdout, paper.validation) == (0.8, 0.2)


def test_command_line_wins_over_file_wins_over_preset(tmp_path):
    config = tmp_path / "project.toml"
    config.write_text("[project]\ntrials = 70\nretrain = 7\n")
    project = project_of(settings_of("paper", config, {"trials": 80, "seed": None}))
    assert (project.trials, project.retrain, project.transform) == (80, 7, "zscore")


def test_p_retrain_is_a_fraction_of_the_trials():
    assert settings_of("laptop", None, {"trials": 200, "p_retrain": 0.05})["retrain"] == 10
    default = Project().trials
    assert settings_of("laptop", None, {"p_retrain": 0.5})["retrain"] == round(default / 2)
    assert settings_of("laptop", None, {"p_retrain": 1e-9})["retrain"] == 1


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"trials": 0}, "trials"),
        ({"p_subset": 1.5}, "p_subset"),
        ({"holdout": 1.0}, "holdout"),
        ({"learning_rate": "fast"}, "learning_rate"),
        ({"min_layers": 5, "max_layers": 3}, "min_layers 5 exceeds max_layers 3"),
        ({"layers": 3}, "layers"),
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


def test_p_retrain_out_of_bounds_is_refused():
    with pytest.raises(AeroactError, match="p_retrain"):
        settings_of("laptop", None, {"p_retrain": 1.5})
