"""Engine of all experiments: tasks, workers, and tables on disk."""
