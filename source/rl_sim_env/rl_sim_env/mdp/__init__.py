"""Terms of the task: free functions that read the environment and return one value per robot."""
