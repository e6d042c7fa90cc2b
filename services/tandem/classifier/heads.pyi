# Types of `heads.pyx`, where the documentation is.

from tandem.classifier.header import Header
from tandem.classifier.weights import Floats
from tandem.v1 import types_pb2

class Heads:
    def __init__(self, header: Header) -> None: ...
    def read(self, columns: Floats, signals: types_pb2.Signals) -> None: ...
