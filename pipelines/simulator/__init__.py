"""A simulated Insights API with an account of its own: serves `demo` and the tests."""
