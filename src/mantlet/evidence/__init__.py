"""Where bytes come from: exhibits, volumes, file systems, archives. Never written to."""
