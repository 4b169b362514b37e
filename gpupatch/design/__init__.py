"""What is done with whole simulations: reach a target, carry uncertainty through."""

from gpupatch.design.control import Controlled, Wall, control
from gpupatch.design.ensemble import Ensemble, ensemble

__all__ = ["Controlled", "Ensemble", "Wall", "control", "ensemble"]
