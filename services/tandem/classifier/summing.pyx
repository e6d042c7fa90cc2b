# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Sums up the weights of what was found in a text, for all heads at once.

Every sum is taken in one fixed order, so that every processor finds the same.
"""

from libc.math cimport cosf, fabs, sinf
from libc.stdint cimport int8_t, int32_t, uint32_t
from libc.stdlib cimport calloc, free, malloc

import numpy as np

cdef extern from *:
    """
    // Four times four sums side by side, added up at the end. Compilers do not do this by themselves: it is another order.
    typedef float Four __attribute__((vector_size(16), aligned(4)));
    static float product(const float *a, const float *b, Py_ssize_t count) {
        Four sums[4] = {{0}, {0}, {0}, {0}};
        Py_ssize_t at = 0;
        for (; at + 16 <= count; at += 16)
            for (int four = 0; four < 4; four++)
                sums[four] += *(const Four *)(a + at + 4 * four) * *(const Four *)(b + at + 4 * four);
        Four both = (sums[0] + sums[1]) + (sums[2] + sums[3]);
        float total = (both[0] + both[1]) + (both[2] + both[3]);
        for (; at < count; at++)
            total += a[at] * b[at];
        return total;
    }
    // Whoever reads from one place and writes to another has to say so: only then are several columns added at once.
    static void add(float *restrict sums, float number, const float *restrict row, Py_ssize_t count) {
        for (Py_ssize_t at = 0; at < count; at++)
            sums[at] += number * row[at];
    }
    static void add_bytes(float *restrict sums, float number, const int8_t *restrict row, Py_ssize_t count) {
        for (Py_ssize_t at = 0; at < count; at++)
            sums[at] += number * row[at];
    }
    """
    void add(float *, float, const float *, Py_ssize_t) noexcept
    void add_bytes(float *, float, const int8_t *, Py_ssize_t) noexcept
    float product(const float *, const float *, Py_ssize_t) noexcept
    void __builtin_prefetch(const void *) noexcept

cdef enum:
    AHEAD = 16  # rows that are fetched before they are needed: the tables are larger than any cache


cdef class Sums:
    """Sums by the weights of one artifact (see `Weights`)."""

    cdef const int8_t[:, ::1] _buckets
    cdef const float[::1] _rows, _columns, _mean, _scale, _bias, _phases
    cdef const float[:, ::1] _dense, _frequencies, _waves
    cdef float[::1] _resting, _resting_sums, _resting_angles
    cdef float _limit
    cdef Py_ssize_t _column_count, _dense_count, _wave_count

    def __init__(self, weights):
        # A copy of its own lies in large pages, where the system has them: finding a row otherwise misses twice.
        self._buckets, self._rows = weights.buckets.copy(), weights.rows.copy()
        self._columns, self._bias = _floats(weights.columns), _floats(weights.bias)
        self._mean, self._scale = _floats(weights.mean), _floats(weights.scale)
        self._dense, self._frequencies = _floats(weights.dense), _floats(weights.frequencies)
        self._phases, self._waves = _floats(weights.phases), _floats(weights.waves.T)
        self._limit = weights.limit
        self._column_count = len(weights.columns)
        self._dense_count, self._wave_count = weights.frequencies.shape
        self._rest()

    def ngrams(self, const uint32_t[::1] indices, const float[::1] values):
        """Return what buckets found, with values of shape [found], add to every column; shape [columns].

        Raises:
            IndexError: a bucket is none of the artifact's.
        """
        cdef Py_ssize_t found = indices.shape[0], at, column
        cdef float weight
        array = np.zeros(self._column_count, np.float32)
        cdef float[::1] sums = array
        for at in range(found):
            if indices[at] >= <uint32_t> self._rows.shape[0]:
                raise IndexError(f"there is no bucket {indices[at]}")
        for at in range(found):
            if at + AHEAD < found:
                __builtin_prefetch(&self._buckets[indices[at + AHEAD], 0])
                __builtin_prefetch(&self._rows[indices[at + AHEAD]])
            weight = values[at] * self._rows[indices[at]]
            add_bytes(&sums[0], weight, &self._buckets[indices[at], 0], self._column_count)
        for column in range(self._column_count):
            sums[column] *= self._columns[column]
        return array

    def form(self, const float[::1] dense):
        """Return what dense numbers of shape [dense] add to every column, bias included, and where they stand.

        That is: the sums, of shape [columns]; the dense numbers as the weights take them, standardised and bounded, of
        shape [dense]; and their places on the waves, of shape [waves]. The products of waves approximate a radial
        kernel (Rahimi and Recht, "Random features for large-scale kernel machines", 2007), so that linear weights over
        them draw curves over the form of a text.

        Raises:
            ValueError: there are more or fewer dense numbers than the artifact has.
        """
        if dense.shape[0] != self._dense_count:
            raise ValueError(f"there are {dense.shape[0]} dense numbers, and not {self._dense_count}")
        cdef Py_ssize_t at
        array, standards, angled, cosines = (
            np.array(self._resting_sums),
            np.array(self._resting),
            np.array(self._resting_angles),
            np.empty(self._wave_count, np.float32),
        )
        cdef float[::1] sums = array, standard = standards, angles = angled, waves = cosines
        # Most counts of a text are 0.
        for at in range(self._dense_count):
            if dense[at] != 0:
                standard[at] = self._standard(dense[at], at)
                self._move(standard[at] - self._resting[at], at, &sums[0], &angles[0])
        for at in range(self._wave_count):
            waves[at] = cosf(angles[at] + self._phases[at])
        for at in range(self._column_count):
            sums[at] += product(&waves[0], &self._waves[at, 0], self._wave_count)
        return array, standards, angled

    cdef float _standard(self, float number, Py_ssize_t at) noexcept:
        number = (number - self._mean[at]) / self._scale[at]
        return min(max(number, -self._limit), self._limit)

    cdef void _move(self, float number, Py_ssize_t at, float *sums, float *angles) noexcept:
        """Add a dense number to sums and angles."""
        add(sums, number, &self._dense[at, 0], self._column_count)
        add(angles, number, &self._frequencies[at, 0], self._wave_count)

    cdef _rest(self):
        """Find what a text adds whose dense numbers are all 0."""
        cdef Py_ssize_t at
        self._resting = np.empty(self._dense_count, np.float32)
        self._resting_sums, self._resting_angles = np.array(self._bias), np.zeros(self._wave_count, np.float32)
        for at in range(self._dense_count):
            self._resting[at] = self._standard(0, at)
            self._move(self._resting[at], at, &self._resting_sums[0], &self._resting_angles[0])


cdef class Parts:
    """Divides a mix of columns among the reasons that a person can name (see `Reasons`).

    Args:
        weights: those of the artifact.
        mix: what each column weighs in what is divided; shape [columns].
        kinds: which reason each dense number belongs to; shape [dense].
        present: dense numbers of reasons from this one on count only where they are not 0.
        terms: buckets in which each known term is found, [terms, groups]; what a bucket's unit adds to the mix, likewise;
            and which reason each term belongs to, [terms].
        wording: the reason of all n-grams that belong to no term.
        told: how many reasons can be told; what belongs to the one after them cannot.
        bounds: most reasons that are told, the least share of the strongest that one of them has, and the least that it
            adds, above 0.
    """

    cdef const float[::1] _mix, _dense, _waves, _phases
    cdef const float[:, ::1] _frequencies, _term_weights
    cdef const uint32_t[:, ::1] _term_buckets
    cdef const int32_t[::1] _kinds, _term_kinds
    cdef Py_ssize_t _present, _wording, _told, _most
    cdef double _least_share, _least_points

    def __init__(self, weights, mix, kinds, present, terms, wording, told, bounds):
        self._mix = _floats(mix)
        self._dense, self._waves = _floats(weights.dense @ mix), _floats(weights.waves @ mix)
        self._phases, self._frequencies = _floats(weights.phases), _floats(weights.frequencies)
        self._kinds = np.ascontiguousarray(kinds, np.int32)
        buckets, added, term_kinds = terms
        self._term_buckets = np.ascontiguousarray(buckets, np.uint32)
        self._term_weights = _floats(added)
        self._term_kinds = np.ascontiguousarray(term_kinds, np.int32)
        self._present, self._wording, self._told = present, wording, told
        self._most, self._least_share, self._least_points = bounds

    def of(self, features, const float[::1] standard, const float[::1] angles, const float[::1] ngrams):
        """Return the reasons that add most to the mix, and what they add: [(reason, sum)], strongest first.

        `standard` and `angles` are those of `Sums.form`, `ngrams` those of `Sums.ngrams`. What a dense number adds through
        the waves is its part in the way from an average text to this one, by the slope in the middle (integrated gradients
        in one step: Sundararajan et al., "Axiomatic attribution for deep networks", 2017).
        """
        cdef Py_ssize_t at
        cdef double *sums = <double *> calloc(self._told + 1, sizeof(double))
        if sums == NULL:
            raise MemoryError
        try:
            self._form(features.dense, standard, angles, sums)
            for at in range(ngrams.shape[0]):
                sums[self._wording] += ngrams[at] * self._mix[at]
            if len(features.terms):
                self._terms(features.terms, features.indices, features.values, sums)
            return self._strongest(sums)
        finally:
            free(sums)

    cdef list _strongest(self, double *sums):
        cdef Py_ssize_t at, strongest = 0
        cdef double least = 0
        cdef list told = []
        while len(told) < self._most:
            for at in range(self._told):
                if fabs(sums[at]) > fabs(sums[strongest]):
                    strongest = at
            if not told:
                least = max(self._least_share * fabs(sums[strongest]), self._least_points)
            if fabs(sums[strongest]) < least:
                break
            told.append((strongest, sums[strongest]))
            sums[strongest] = 0
        return told

    cdef int _form(
        self, const float[::1] dense, const float[::1] standard, const float[::1] angles, double *sums
    ) except -1:
        cdef Py_ssize_t at, waves = self._waves.shape[0]
        cdef float *slopes = <float *> malloc((waves + 1) * sizeof(float))
        if slopes == NULL:
            raise MemoryError
        for at in range(waves):
            slopes[at] = sinf(angles[at] * <float> 0.5 + self._phases[at]) * self._waves[at]
        for at in range(self._kinds.shape[0]):
            if dense[at] != 0 or self._kinds[at] < self._present:
                sums[self._kinds[at]] += standard[at] * (
                    self._dense[at] - product(&self._frequencies[at, 0], slopes, waves)
                )
        free(slopes)
        return 0

    cdef int _terms(
        self, const uint32_t[::1] rows, const uint32_t[::1] indices, const float[::1] values, double *sums
    ) except -1:
        cdef Py_ssize_t at, group, place
        cdef double added
        for at in range(rows.shape[0]):
            added = 0
            for group in range(self._term_buckets.shape[1]):
                place = _place(indices, self._term_buckets[rows[at], group])
                if place >= 0:
                    added += values[place] * self._term_weights[rows[at], group]
            sums[self._term_kinds[rows[at]]] += added
            sums[self._wording] -= added
        return 0


cdef Py_ssize_t _place(const uint32_t[::1] rising, uint32_t wanted) noexcept:
    """Return where a number stands among rising ones, -1 if it does not."""
    cdef Py_ssize_t low = 0, high = rising.shape[0], middle
    while low < high:
        middle = (low + high) >> 1
        if rising[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low if low < rising.shape[0] and rising[low] == wanted else -1


def _floats(numbers):
    return np.ascontiguousarray(numbers, np.float32)
