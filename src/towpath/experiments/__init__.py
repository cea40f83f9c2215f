"""Experiments, trials and trial components: what was tried, and how it came out."""

from towpath.experiments.components import Components
from towpath.experiments.kinds import KINDS
from towpath.experiments.service import Experiments, trial_shown

__all__ = ["KINDS", "Components", "Experiments", "trial_shown"]
