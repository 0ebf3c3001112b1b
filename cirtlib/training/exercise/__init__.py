"""Exercises: an incident of the learner's own, questions, hints, an account to contain in, and a debrief."""
