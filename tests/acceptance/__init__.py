"""What is too long for the tests: one module a figure; `python -m tests.acceptance --only NAME` runs one."""
