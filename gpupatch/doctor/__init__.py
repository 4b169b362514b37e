"""Whether this machine can run gpupatch, and how well: `gpupatch doctor`."""
