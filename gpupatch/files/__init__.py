"""What gpupatch reads and writes: case files, formulas, results, reports, checkpoints."""
