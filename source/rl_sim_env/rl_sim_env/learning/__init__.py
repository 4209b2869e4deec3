"""The learners: PPO with a context VAE, an adversarial motion prior and AdaBoot.

Everything here knows tensors and named observation slices, and nothing of the simulator.
"""
