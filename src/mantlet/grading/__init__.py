"""Category schemes and stacks: pure functions over arrays, and data."""
