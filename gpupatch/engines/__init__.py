"""Micro-simulators of others behind one batched interface: LAMMPS and OpenMM."""
