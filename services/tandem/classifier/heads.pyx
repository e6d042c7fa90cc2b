# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Reads calibrated signals off the columns."""

from libc.math cimport exp, fabs, floor

import numpy as np

from tandem.v1 import types_pb2

cdef enum:
    STEPS = 10_000  # of a signal in 1: what differs beyond four decimals is the arithmetic of the machine
    MOST_LOG_ODDS = 30  # beyond them a probability is as good as certain, and no power overflows


cdef class Heads:
    """Turns columns into signals, as the header of an artifact says."""

    cdef Score _suffices, _gain, _complexity
    cdef Choice _task, _domain
    cdef Doubt _professional
    cdef Py_ssize_t _columns

    def __init__(self, header):
        self._columns = len(header.columns)
        self._suffices = Score(header.r1_suffices, header.columns)
        self._gain = Score(header.expected_gain, header.columns)
        self._complexity = Score(header.complexity, header.columns)
        self._task = Choice(header.task, types_pb2.Task, "task", header.columns)
        self._domain = Choice(header.domain, types_pb2.Domain, "domain", header.columns)
        self._professional = Doubt(header.professional, header.columns.index("professional"))

    def read(self, const float[::1] columns, signals):
        """Fill in the signals that are learned: scores, task, domain and professional.

        Raises:
            ValueError: there are more or fewer columns than the artifact has.
        """
        if columns.shape[0] != self._columns:
            raise ValueError(f"there are {columns.shape[0]} columns, and not {self._columns}")
        self._complexity.read(columns, signals.complexity)
        self._suffices.read(columns, signals.r1_suffices)
        self._gain.read(columns, signals.expected_gain)
        self._task.read(columns, signals.task)
        self._domain.read(columns, signals.domain)
        self._professional.read(columns, signals.professional)


cdef class Score:
    """A number, by straight lines between points."""

    cdef const int[::1] _columns
    cdef const double[::1] _weights, _at, _values, _confidences

    def __init__(self, head, columns):
        self._columns = np.array([columns.index(name) for name in head.mix], np.intc)
        self._weights = np.array(list(head.mix.values()), np.float64)
        self._at, self._values, self._confidences = (
            np.array(points, np.float64) for points in (head.at, head.value, head.confidence)
        )

    cdef read(self, const float[::1] columns, signal):
        cdef double mixed = 0, share = 0
        cdef Py_ssize_t at, after = 0, before
        for at in range(self._columns.shape[0]):
            mixed += self._weights[at] * columns[self._columns[at]]
        while after < self._at.shape[0] and self._at[after] <= mixed:
            after += 1
        before = max(after - 1, 0)
        after = min(after, self._at.shape[0] - 1)
        if after > before:
            share = (mixed - self._at[before]) / (self._at[after] - self._at[before])
        signal.value = _rounded(self._values[before] + share * (self._values[after] - self._values[before]))
        signal.confidence = _rounded(
            self._confidences[before] + share * (self._confidences[after] - self._confidences[before])
        )


cdef class Choice:
    """A label: the likeliest, or none where it is not likely enough."""

    cdef const int[::1] _values, _columns
    cdef double _temperature, _threshold

    def __init__(self, head, enum, name, columns):
        self._values = np.array([enum.Value(f"{name}_{label}".upper()) for label in head.labels], np.intc)
        self._columns = np.array([columns.index(f"{name}.{label}") for label in head.labels], np.intc)
        self._temperature, self._threshold = head.temperature, head.threshold

    cdef read(self, const float[::1] columns, signal):
        """Give the likeliest label and its probability; or none, and the probability that the likeliest were wrong."""
        cdef Py_ssize_t at, top = 0
        cdef double total = 0, probability
        for at in range(self._columns.shape[0]):
            if columns[self._columns[at]] > columns[self._columns[top]]:
                top = at
        for at in range(self._columns.shape[0]):
            # As 64-bit numbers: the difference of two 32-bit ones is rounded.
            total += exp(
                (<double> columns[self._columns[at]] - <double> columns[self._columns[top]]) / self._temperature
            )
        probability = 1 / total
        if probability < self._threshold:
            signal.confidence = _rounded(1 - probability)
        else:
            signal.value = self._values[top]
            signal.confidence = _rounded(probability)


cdef class Doubt:
    """Yes, no, or neither."""

    cdef Py_ssize_t _column
    cdef double _temperature, _threshold

    def __init__(self, head, column):
        self._column = column
        self._temperature, self._threshold = head.temperature, head.threshold

    cdef read(self, const float[::1] columns, signal):
        cdef double log_odds = columns[self._column] / self._temperature
        cdef double probability = 1 / (1 + exp(-min(fabs(log_odds), <double> MOST_LOG_ODDS)))
        if probability < self._threshold:
            signal.confidence = _rounded(1 - probability)
        else:
            signal.value, signal.confidence = log_odds > 0, _rounded(probability)


cdef double _rounded(double value) noexcept:
    return floor(value * STEPS + 0.5) / STEPS
