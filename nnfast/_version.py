"""The version of nnfast; it stands only here."""

__version__ = "0.1.0"
