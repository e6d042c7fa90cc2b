"""Two tiers of language model behind one gRPC API, with an answer by the deadline."""

from importlib.metadata import version

__version__ = version("tandem")
