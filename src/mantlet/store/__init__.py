"""SQLite files with one writer at a time, many readers, and migrations."""
