"""Settings for trainings of seconds."""

import pytest

from segmint.training.settings import TrainSettings


@pytest.fixture
def quick() -> TrainSettings:
    return TrainSettings.parse(
        {
            "network": {"architecture": "toynet", "backbone": "none"},
            "augment": {"crop_px": 32},
            "optimiser": {"learning_rate": 0.01, "backbone_factor": 1.0},
            "schedule": {
                "iterations": 6,
                "batch_size": 2,
                "validate_every": 3,
                "checkpoint_every": 2,
                "precision": "no",
                "ema_decay": 0.5,
            },
        }
    )
