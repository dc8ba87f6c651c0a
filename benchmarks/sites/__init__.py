"""Sites that learn from accepted labels: what `benchmarks.learning` and `benchmarks.effort` play through."""
