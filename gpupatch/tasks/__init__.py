"""What a macroscopic system is asked for besides trajectories: states, spectra, bifurcations."""
