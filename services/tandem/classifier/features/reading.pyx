# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Reads a text once: words, hashed n-grams, known terms and the counts of its form.

A stretch is hashed as a polynomial over 2^64 (Karp and Rabin, "Efficient randomized pattern-matching algorithms",
1987): the difference of two prefix sums, moved back to the origin by the inverse power of the base. The base is odd,
so that the inverse exists. The sums carry an odd factor that spreads short stretches over the upper bits, which are the
ones that become bucket numbers. Everything up to the values is whole numbers, so that every platform finds the same.
"""

from libc.math cimport log1p, log1pf, sqrt
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

import numpy as np

from tandem.classifier.features.alphabet import CLASS_OF, CODE_OF, Class
from tandem.classifier.features.spec import LONGEST_WORDS
from tandem.classifier.features.surface import ENDINGS, LITERALS, SURFACE_NAMES

HASH_BITS = 64
BASE = 0xD1B54A32D192ED03
SPREAD = 0x9E3779B97F4A7C15
FOLLOW = 0xDA942042E4DD58B5
SPARSE_BITS = 3
"""The filter before the keys has at least 2^3 places for each, so that it lets few hashes pass that are none."""

cdef enum:
    MOST_COUNTED = 8192  # counts above this weigh like it; more windows than this a sample hardly has
    UNIT = 1024  # what 1 is while values are whole numbers: their squares add up exactly, so alike on every machine
    WORDS = 4  # LONGEST_WORDS
    CLASSES = 32  # at least as many as there are
    RADIX_BITS = 11
    RADIX = 1 << RADIX_BITS
    FEW = 160  # keys that are sorted sooner by insertion than by digits
    LATIN_A = 97
    LONGEST_MARK = 2  # of the number of an item, such as `12.`; an option has one letter
    OPTIONS = 9  # further options after the first: a to j
    NUMBERS = 7  # characters, words, longest word, mean word, numbers, options, items

cdef enum Kind:
    KIND_WORDS
    KIND_IDEOGRAPHS
    KIND_CHARACTERS

cdef uint64_t FOLLOW_FACTOR = FOLLOW
cdef uint8_t DIGIT = Class.DIGIT
cdef uint8_t IDEOGRAPH = Class.IDEOGRAPH
cdef uint8_t SPACE = Class.SPACE
cdef uint8_t NEWLINE = Class.NEWLINE
cdef uint8_t STOP = Class.STOP
cdef uint8_t ROUND = Class.ROUND
cdef uint8_t COMMA = Class.COMMA
cdef Py_ssize_t CLASS_COUNT = len(Class)
cdef Py_ssize_t SURFACE = len(SURFACE_NAMES)
cdef tuple LITERAL_TEXTS = LITERALS
cdef tuple ENDING_TEXTS = ENDINGS

if LONGEST_WORDS != WORDS or CLASS_COUNT > CLASSES:
    raise ImportError("reading.pyx has other limits than the modules beside it")


cdef struct Group:
    Kind kind
    int size
    int bits
    uint32_t offset
    double weight


cdef struct Scan:
    # The text between two spaces, every run of blanks one space; and its words.
    Py_ssize_t raw  # characters, blanks included
    Py_ssize_t kept  # characters, a run of blanks being one
    Py_ssize_t words
    Py_ssize_t ideographs
    uint64_t *prefix  # [kept + 1]
    uint64_t *sequences[WORDS]  # hashes of words, of pairs of words …; [words - size + 1] each
    uint32_t *codes
    int32_t *starts
    int32_t *ends
    uint8_t *classes
    int64_t counts[CLASSES]


cdef class Reader:
    """Reads texts by a spec.

    Words are runs of letters and digits, and single ideographs. The hash of a word is a polynomial of its characters'
    codes over 2^64, that of a sequence of words a polynomial of theirs; its upper bits are the bucket.

    Args:
        spec: which n-grams are counted, and how.
        keys: hashes of the known terms, rising; shape [terms]. None: none is known.
        weights: what each weighs under each heading; shape [terms, headings].
    """

    cdef Group *_groups
    cdef Py_ssize_t _group_count
    cdef bint _logarithmic
    cdef Py_ssize_t _longest
    cdef int _key_shift
    cdef Py_ssize_t _headings
    cdef const uint8_t[::1] _class_of
    cdef const uint32_t[::1] _code_of
    cdef const uint64_t[::1] _powers
    cdef const uint64_t[::1] _inverses
    cdef const int64_t[::1] _log_count
    cdef const uint64_t[::1] _keys
    cdef const uint8_t[::1] _filter
    cdef const float[:, ::1] _term_weights

    def __cinit__(self, spec, keys=None, weights=None):
        self._groups = NULL
        self._group_count = len(spec.groups)
        self._groups = <Group *> malloc((self._group_count + 1) * sizeof(Group))
        if self._groups == NULL:
            raise MemoryError
        kinds = {"words": KIND_WORDS, "ideographs": KIND_IDEOGRAPHS, "characters": KIND_CHARACTERS}
        for at, (group, offset) in enumerate(zip(spec.groups, spec.offsets)):
            self._groups[at] = Group(kinds[group.kind], group.size, group.bits, offset, group.weight)
        self._logarithmic = spec.counts == "log"
        self._longest = spec.sample_characters + 3
        self._class_of = CLASS_OF
        self._code_of = _codes(spec.fold_digits)
        self._powers = _factors(BASE, SPREAD, self._longest)
        self._inverses = _factors(pow(BASE, -1, 1 << HASH_BITS), 1, self._longest + 1)
        counts = np.arange(1, MOST_COUNTED + 1)
        self._log_count = np.rint(UNIT * (1 + np.log(counts))).astype(np.int64)
        self._set_keys(
            np.empty(0, np.uint64) if keys is None else keys,
            np.empty((0, 0), np.float32) if weights is None else weights,
        )

    def _set_keys(self, keys, weights):
        bits = len(keys).bit_length() + SPARSE_BITS
        passing = np.zeros(1 << bits, np.uint8)
        passing[keys >> np.uint64(HASH_BITS - bits)] = 1
        self._key_shift = HASH_BITS - bits
        self._filter = passing
        self._keys = np.ascontiguousarray(keys)
        self._term_weights = np.ascontiguousarray(weights)
        self._headings = weights.shape[1]

    def __dealloc__(self):
        free(self._groups)

    def read(self, str text, Py_ssize_t characters):
        """Return the features of a text that is a sample of one of so many characters.

        Those are: the buckets found, each once and in order, and their values, both of shape [found]; the counts of
        SURFACE_NAMES and ln(1 + weights) of the known terms by heading, of shape [surface + headings]; and the rows of
        those terms, each once and in order.

        Raises:
            ValueError: the text is longer than the spec's sample and one character.
        """
        cdef Scan scan
        cdef void *block = self._scan(text, &scan)
        try:
            indices, values = self._buckets(&scan)
            dense = np.zeros(SURFACE + self._headings, np.float32)
            self._surface(text, characters, &scan, dense)
            return indices, values, dense, self._terms(&scan, dense)
        finally:
            free(block)

    def sequence(self, str text):
        """Return how many words a text has, and the hash of them all in sequence; 0 if they are none or over four.

        Raises:
            ValueError: as `read`.
        """
        cdef Scan scan
        cdef void *block = self._scan(text, &scan)
        try:
            if not 1 <= scan.words <= WORDS:
                return scan.words, 0
            return scan.words, scan.sequences[scan.words - 1][0]
        finally:
            free(block)

    cdef void *_scan(self, str text, Scan *scan) except NULL:
        """Fill `scan`; return the block that holds its arrays, for the caller to free."""
        cdef Py_ssize_t n = len(text) + 2
        if n > self._longest:
            raise ValueError(f"a text of at most {self._longest - 2} characters can be read, not of {n - 2}")
        cdef size_t size = 8 * (n + 1 + WORDS * n) + 12 * n + n
        cdef char *block = <char *> malloc(size)
        if block == NULL:
            raise MemoryError
        scan.prefix = <uint64_t *> block
        block += 8 * (n + 1)
        cdef int at
        for at in range(WORDS):
            scan.sequences[at] = <uint64_t *> block
            block += 8 * n
        scan.codes = <uint32_t *> block
        scan.starts = <int32_t *> (block + 4 * n)
        scan.ends = <int32_t *> (block + 8 * n)
        scan.classes = <uint8_t *> (block + 12 * n)
        self._see(text, n, scan)
        self._find_words(scan)
        return scan.prefix

    cdef void _see(self, str text, Py_ssize_t n, Scan *scan) noexcept:
        """Find the characters: classes, codes, prefix sums."""
        cdef Py_ssize_t at, kept = 0, last = self._class_of.shape[0] - 1
        cdef Py_UCS4 point
        cdef uint8_t kind
        cdef bint blank, before = False
        cdef uint64_t total = 0
        memset(scan.counts, 0, sizeof(scan.counts))
        scan.prefix[0] = 0
        for at in range(n):
            point = text[at - 1] if 0 < at < n - 1 else u" "
            if point > last:
                point = <Py_UCS4> last
            kind = self._class_of[point]
            scan.counts[kind] += 1
            blank = kind == SPACE or kind == NEWLINE
            if blank and before:
                continue
            before = blank
            scan.classes[kept] = kind
            scan.codes[kept] = self._code_of[point]
            total += scan.codes[kept] * self._powers[kept]
            kept += 1
            scan.prefix[kept] = total
        scan.raw = n
        scan.kept = kept
        scan.ideographs = scan.counts[IDEOGRAPH]

    cdef void _find_words(self, Scan *scan) noexcept:
        """Find the words, runs of letters and digits and single ideographs, and hash their sequences."""
        cdef Py_ssize_t at, start = -1, words = 0, size
        cdef uint8_t kind
        for at in range(scan.kept):
            kind = scan.classes[at]
            if kind <= DIGIT:
                if start < 0:
                    start = at
                continue
            if start >= 0:
                scan.starts[words] = start
                scan.ends[words] = at
                words += 1
                start = -1
            if kind == IDEOGRAPH:
                scan.starts[words] = at
                scan.ends[words] = at + 1
                words += 1
        scan.words = words
        for at in range(words):
            scan.sequences[0][at] = self._stretch(scan, scan.starts[at], scan.ends[at])
        for size in range(1, WORDS):
            for at in range(words - size):
                scan.sequences[size][at] = (
                    scan.sequences[size - 1][at] * FOLLOW_FACTOR + scan.sequences[0][at + size]
                )

    cdef inline uint64_t _stretch(self, const Scan *scan, Py_ssize_t start, Py_ssize_t end) noexcept:
        return (scan.prefix[end] - scan.prefix[start]) * self._inverses[start]

    cdef tuple _buckets(self, const Scan *scan):
        """Return the buckets found, each once and in order, and their values."""
        cdef Py_ssize_t most = self._group_count * scan.kept, found = 0, at
        cdef char *block = <char *> malloc(8 * most + 4 * scan.kept + 1)
        if block == NULL:
            raise MemoryError
        cdef uint32_t *drawn = <uint32_t *> block
        cdef float *values = <float *> (drawn + most)
        cdef uint32_t *spare = <uint32_t *> (values + most)
        try:
            for at in range(self._group_count):
                found += self._weighed(scan, &self._groups[at], drawn + found, spare, values + found)
            return _array(np.uint32, drawn, found), _array(np.float32, values, found)
        finally:
            free(block)

    cdef Py_ssize_t _weighed(
        self, const Scan *scan, const Group *group, uint32_t *drawn, uint32_t *spare, float *values
    ) noexcept:
        """Write the buckets of one group, each once and in order, and their values; return how many."""
        cdef Py_ssize_t count = self._drawn(scan, group, drawn), at = 0, after, distinct = 0
        cdef int64_t whole, squares = 0
        cdef double scale
        _sort(drawn, spare, count, group.bits)
        while at < count:
            after = at + 1
            while after < count and drawn[after] == drawn[at]:
                after += 1
            whole = self._log_count[min(after - at, MOST_COUNTED) - 1] if self._logarithmic else UNIT
            squares += whole * whole
            drawn[distinct] = drawn[at]
            values[distinct] = <float> whole  # below 2^24, so exact
            distinct += 1
            at = after
        scale = group.weight / sqrt(<double> squares) if squares else 0
        for at in range(distinct):
            values[at] = <float> (<double> values[at] * scale)
            drawn[at] += group.offset
        return distinct

    cdef Py_ssize_t _drawn(self, const Scan *scan, const Group *group, uint32_t *drawn) noexcept:
        """Write the bucket of every n-gram of one group, in reading order; return how many."""
        cdef int shift = 64 - group.bits, size = group.size
        cdef Py_ssize_t at, count = 0, run = 0
        if group.kind == KIND_WORDS:
            for at in range(scan.words - size + 1):
                drawn[at] = <uint32_t> (scan.sequences[size - 1][at] >> shift)
            return max(scan.words - size + 1, 0)
        if group.kind == KIND_IDEOGRAPHS:
            for at in range(scan.words if scan.ideographs else 0):
                run = run + 1 if scan.classes[scan.starts[at]] == IDEOGRAPH else 0
                if run >= size:
                    drawn[count] = <uint32_t> (scan.sequences[size - 1][at - size + 1] >> shift)
                    count += 1
            return count
        for at in range(scan.kept):
            run = 0 if scan.classes[at] == IDEOGRAPH else run + 1
            if run >= size:
                drawn[count] = <uint32_t> (self._stretch(scan, at - size + 1, at + 1) >> shift)
                count += 1
        return count

    cdef void _surface(self, str text, Py_ssize_t characters, const Scan *scan, float[::1] dense):
        """Write the form of a text, in the order of SURFACE_NAMES."""
        cdef Py_ssize_t at, shares = CLASS_COUNT + NUMBERS + len(LITERAL_TEXTS)
        cdef double numbers[NUMBERS]
        for at in range(CLASS_COUNT):
            dense[at] = <float> log1p(<double> scan.counts[at])
            dense[shares + at] = <float> (<double> scan.counts[at] / scan.raw)
        _count_words(scan, numbers)
        numbers[0] = characters
        for at in range(NUMBERS):
            dense[CLASS_COUNT + at] = <float> log1p(numbers[at])
        for at in range(len(LITERAL_TEXTS)):
            dense[CLASS_COUNT + NUMBERS + at] = <float> log1p(text.count(LITERAL_TEXTS[at]))
        cdef str end = text[max(len(text) - 40, 0) :].rstrip()
        for at in range(len(ENDING_TEXTS)):
            dense[shares + CLASS_COUNT + at] = end.endswith(ENDING_TEXTS[at])

    cdef _terms(self, const Scan *scan, float[::1] dense):
        """Return the rows of the known terms, each once and in order; write ln(1 + their weights), by heading."""
        cdef uint32_t *rows = <uint32_t *> malloc((2 * WORDS * scan.words + 1) * 4)
        if rows == NULL:
            raise MemoryError
        cdef Py_ssize_t count = 0, distinct = 0, at, row, heading
        cdef int size
        try:
            for size in range(WORDS if self._keys.shape[0] else 0):
                for at in range(scan.words - size):
                    row = self._row(scan.sequences[size][at])
                    if row >= 0:
                        rows[count] = row
                        count += 1
            _sort(rows, rows + WORDS * scan.words, count, 32)
            for at in range(count):
                if at == 0 or rows[at] != rows[at - 1]:
                    rows[distinct] = rows[at]
                    distinct += 1
                    for heading in range(self._headings):
                        dense[SURFACE + heading] += self._term_weights[rows[at], heading]
            for heading in range(self._headings):
                dense[SURFACE + heading] = log1pf(dense[SURFACE + heading])
            return _array(np.uint32, rows, distinct)
        finally:
            free(rows)

    cdef inline Py_ssize_t _row(self, uint64_t key) noexcept:
        """Return the row of a key, -1 if there is none; most hashes do not pass the filter over their upper bits."""
        cdef Py_ssize_t low = 0, high = self._keys.shape[0], middle
        if not self._filter[key >> self._key_shift]:
            return -1
        while low < high:
            middle = (low + high) >> 1
            if self._keys[middle] < key:
                low = middle + 1
            else:
                high = middle
        return low if low < self._keys.shape[0] and self._keys[low] == key else -1


cdef void _count_words(const Scan *scan, double *numbers) noexcept:
    """Write how many words there are, the longest, their mean length, how many are numbers, options, items."""
    cdef Py_ssize_t at, length, longest = 0, numeric = 0, options = 0, items = 0
    cdef int64_t inner = 0
    cdef uint8_t first, after
    for at in range(scan.words):
        length = scan.ends[at] - scan.starts[at]
        longest = max(longest, length)
        first = scan.classes[scan.starts[at]]
        numeric += first == DIGIT
        after = scan.classes[scan.ends[at]]
        if length <= LONGEST_MARK and (after == STOP or after == ROUND or after == COMMA):
            items += first == DIGIT
            options += length == 1 and scan.codes[scan.starts[at]] - LATIN_A <= <uint32_t> OPTIONS
    for at in range(IDEOGRAPH + 1):
        inner += scan.counts[at]
    numbers[1] = scan.words
    numbers[2] = longest
    numbers[3] = <double> inner / scan.words if scan.words else 0
    numbers[4] = numeric
    numbers[5] = options
    numbers[6] = items


cdef void _sort(uint32_t *keys, uint32_t *spare, Py_ssize_t count, int bits) noexcept:
    """Sort keys of so many bits: a few by insertion, many by their digits, the lowest first."""
    cdef Py_ssize_t at, place, total
    cdef uint32_t key
    cdef int shift = 0
    cdef uint32_t begins[RADIX]
    if count < FEW:
        for at in range(1, count):
            key = keys[at]
            place = at
            while place and keys[place - 1] > key:
                keys[place] = keys[place - 1]
                place -= 1
            keys[place] = key
        return
    while shift < bits:
        memset(begins, 0, sizeof(begins))
        for at in range(count):
            begins[(keys[at] >> shift) & (RADIX - 1)] += 1
        total = 0
        for place in range(RADIX):
            key = begins[place]
            begins[place] = <uint32_t> total
            total += key
        for at in range(count):
            place = (keys[at] >> shift) & (RADIX - 1)
            spare[begins[place]] = keys[at]
            begins[place] += 1
        memcpy(keys, spare, count * sizeof(uint32_t))
        shift += RADIX_BITS


cdef _array(kind, const void *numbers, Py_ssize_t count):
    """Return an array of four-byte numbers, copied."""
    cdef uint8_t[::1] bytes_
    array = np.empty(count, kind)
    if count:
        bytes_ = array.view(np.uint8)
        memcpy(&bytes_[0], numbers, count * 4)
    return array


def _factors(base, first, count):
    """Return `count` numbers, the first as given, each of the others `base` times the one before."""
    factors = np.full(count, base, np.uint64)
    factors[0] = first
    return np.multiply.accumulate(factors)


def _codes(fold_digits):
    """Return the code of every code point; digits all the same if they are folded."""
    codes = CODE_OF.copy()
    if fold_digits:
        for zero in "0０":
            codes[ord(zero) : ord(zero) + 10] = ord("0")
    return codes
