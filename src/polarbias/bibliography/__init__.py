"""References for the methods and libraries behind a result."""
