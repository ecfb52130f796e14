"""Mantlet: the machine looks first, a person decides, every claim carries its evidence."""

__version__ = "0.1.0"
