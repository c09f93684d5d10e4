"""Many trainings under one protocol: trials, plans of them, comparisons over seeds, and claims judged by rule."""
