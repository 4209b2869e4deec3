"""Estimators of published schemes, as simple as the trainer allows: what ours is measured against.

Each file is one that ``agent.vae.class_name`` may name. sweeps/baselines.yaml has the settings that
go with it, and says what is left out of its paper.
"""
