"""Exercises: generated incidents with a known truth, and an emulated account to contain them in."""
