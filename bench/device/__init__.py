"""All measurements on a GPU in one command: `python -m bench.device`."""
