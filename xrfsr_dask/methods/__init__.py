"""Comparison methods, one file each: what super-resolution has to beat."""
