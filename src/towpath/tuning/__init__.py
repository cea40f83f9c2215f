"""Hyperparameter tuning: training jobs started one after the other, each with what the results so far suggest."""

from towpath.tuning.controller import TuningController
from towpath.tuning.ingredients import TuningIngredients
from towpath.tuning.kinds import HYPER_PARAMETER_TUNING_JOB, KINDS
from towpath.tuning.optuna_search import OptunaSearch
from towpath.tuning.service import Tuning, yielded

__all__ = [
    "HYPER_PARAMETER_TUNING_JOB",
    "KINDS",
    "OptunaSearch",
    "Tuning",
    "TuningController",
    "TuningIngredients",
    "yielded",
]
