"""GECO: does relevance lie on the words that make the classes? Sentences, models, scores and their table."""

from bench.geco.page import section

__all__ = ["section"]
