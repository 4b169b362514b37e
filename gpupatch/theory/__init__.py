"""Closed forms against which patch dynamics is measured.

Eigenvalues of patch schemes, healing of bursts, stability of projective integration, effective
coefficients, chains and polymers. Nothing here simulates.
"""

from gpupatch.theory.chains import (
    chain_frequency,
    chain_matrix,
    diatomic_frequencies,
    flip_burst_flux,
    flip_conductivity,
    triangular_wave_speeds,
)
from gpupatch.theory.dispersion import (
    advection_diffusion_eigenvalue,
    bloch_eigenvalue,
    discrete_wavenumber,
    edgy_residual,
    heat_eigenvalue,
    patch_wavenumber,
    shift_symbol,
    wave_frequency,
)
from gpupatch.theory.effective import (
    checkerboard,
    harmonic_mean,
    hashin_shtrikman_bounds,
    laminate,
    layered_wave_speed,
    separable,
)
from gpupatch.theory.healing import (
    average_rate_error,
    causal_burst,
    end_slope_error,
    healing_depth,
    longest_burst,
    shortest_heal,
)
from gpupatch.theory.polymers import (
    chain_extension,
    freely_jointed_extension,
    marko_siggia_extension,
    rouse_time,
    wormlike_extension,
    wormlike_square_end,
)
from gpupatch.theory.stability import (
    JUMP_PER_INNER_STEP,
    inner_steps_for_gap,
    largest_jump,
    largest_telescopic_jump,
    projective_amplification,
    telescopic_amplification,
)
from gpupatch.theory.walkers import slope_variance

__all__ = [
    "JUMP_PER_INNER_STEP",
    "advection_diffusion_eigenvalue",
    "average_rate_error",
    "bloch_eigenvalue",
    "causal_burst",
    "chain_extension",
    "chain_frequency",
    "chain_matrix",
    "checkerboard",
    "diatomic_frequencies",
    "discrete_wavenumber",
    "edgy_residual",
    "end_slope_error",
    "flip_burst_flux",
    "flip_conductivity",
    "freely_jointed_extension",
    "harmonic_mean",
    "hashin_shtrikman_bounds",
    "healing_depth",
    "heat_eigenvalue",
    "inner_steps_for_gap",
    "laminate",
    "largest_jump",
    "largest_telescopic_jump",
    "layered_wave_speed",
    "longest_burst",
    "marko_siggia_extension",
    "patch_wavenumber",
    "projective_amplification",
    "rouse_time",
    "separable",
    "shift_symbol",
    "shortest_heal",
    "slope_variance",
    "telescopic_amplification",
    "triangular_wave_speeds",
    "wave_frequency",
    "wormlike_extension",
    "wormlike_square_end",
]
