"""The experiments behind `docs/experiments.md`, run by ``make experiments``."""
