"""From columns, arrays and labels of any kind to numbers that networks learn from, and nothing else."""
