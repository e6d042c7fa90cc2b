# cython: language_level=3, boundscheck=False, wraparound=False
"""Writes what OpenTelemetry sends: spans as the bytes that OTLP has for them, and contexts as W3C has them.

A message of protobuf is its fields one after the other. Which number a field has and what it means is in
opentelemetry/proto/trace/v1/trace.proto and common/v1/common.proto.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from tandem.telemetry.names import Attribute

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL
    int PyUnicode_Check(object text)
    int PyUnicode_IS_COMPACT_ASCII(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    void *PyUnicode_DATA(object text)

NO_FAULT = frozenset(("", "CANCELLED"))
"""Kinds of error that make no span one of an error: whoever leaves has reasons of their own."""

cdef enum:
    FRONT = 8  # bytes left free before a message for its tag and its length
    FIXED = 128  # at least what a span's fields of a fixed size take, or those of an attribute beside its texts
    OF_SPAN = 0x4A  # an attribute of a span: field 9
    OF_EVENT = 0x1A  # of an event: field 3
    OF_LINK = 0x22  # of a link: field 4
    SPAN = 0x12  # a span among others: field 2
    EVENT = 0x5A  # an event in a span: field 11
    A_LINK = 0x6A  # a link in a span: field 13
    LOCAL_PARENT = 0x100  # of the flags: it is known whether the parent is in another process
    REMOTE_PARENT = 0x200  # it is
    STATUS_ERROR = 2

cdef str ERROR_TYPE = Attribute.ERROR_TYPE
cdef str LINK = Attribute.LINK
cdef uint64_t STEP = 0x9E3779B97F4A7C15  # odd, so that its multiples differ
cdef const char *HEX = b"0123456789abcdef"


cdef class Writer:
    """Writes one message after the other. For one thread.

    Moments are seconds on the clock of `tandem.clock.now()`; `offset_ns` is what to add to be at nanoseconds since 1970.
    """

    cdef public int64_t offset_ns
    cdef uint8_t *_bytes
    cdef uint8_t *_end
    cdef Py_ssize_t _room

    def __cinit__(self):
        self._reserve(FIXED)

    def __dealloc__(self):
        free(self._bytes)

    def unix_ns(self, double moment):
        """Return a moment as nanoseconds since 1970."""
        return self._ns(moment)

    def attributes(self, uint8_t tag, dict attributes):
        """Return attributes as the fields with this tag."""
        self._begin()
        self._attributes(tag, attributes)
        return PyBytes_FromStringAndSize(<char *> self._bytes + FRONT, self._size())

    def framed(self, uint8_t tag, parts):
        """Return fields that are made already as one field: the message that they are."""
        self._begin()
        for part in parts:
            self._copy(part)
        return self._framed(tag)

    cdef int64_t _ns(self, double moment) noexcept:
        return <int64_t> (moment * 1e9) + self.offset_ns

    cdef void _begin(self) noexcept:
        self._end = self._bytes + FRONT

    cdef Py_ssize_t _size(self) noexcept:
        return self._end - self._bytes - FRONT

    cdef bytes _framed(self, uint8_t tag):
        """Return what is written as one field: its tag, its length, itself."""
        cdef uint8_t front[FRONT]
        cdef Py_ssize_t count = _tagged(front, tag, self._size()) - front
        memcpy(self._bytes + FRONT - count, front, count)
        return PyBytes_FromStringAndSize(<char *> self._bytes + FRONT - count, self._size() + count)

    cdef int _attributes(self, uint8_t tag, dict attributes) except -1:
        for key, value in attributes.items():
            self._attribute(tag, key, value)
        return 0

    cdef int _attribute(self, uint8_t tag, str key, value) except -1:
        """Write a `KeyValue`: the key, and the `AnyValue` that holds the value."""
        cdef Py_ssize_t length
        cdef const char *characters = _characters(key, &length)
        cdef Py_ssize_t held = _value_size(value)
        self._reserve(length)
        self._end = _tagged(self._end, tag, _field_size(length) + _field_size(held))
        self._end = _text(self._end, 0x0A, characters, length)
        self._end = _tagged(self._end, 0x12, held)
        return self._value(value)

    cdef int _value(self, value) except -1:
        """Write the fields of an `AnyValue`."""
        cdef Py_ssize_t length
        cdef const char *characters
        cdef double floating
        cdef uint64_t pattern
        if isinstance(value, str):
            characters = _characters(value, &length)
            self._reserve(length)
            self._end = _text(self._end, 0x0A, characters, length)
        elif isinstance(value, float):
            floating = value
            memcpy(&pattern, &floating, sizeof(pattern))
            self._end = _fixed(self._end, 0x21, pattern, 8)
        elif isinstance(value, int):
            # True is an int, too.
            self._end = _tagged(
                self._end, 0x10 if isinstance(value, bool) else 0x18, <uint64_t> <int64_t> value
            )
        else:
            self._end = _tagged(self._end, 0x2A, _array_size(value))
            for each in <tuple?> value:
                self._reserve(0)
                self._end = _tagged(self._end, 0x0A, _value_size(each))
                self._value(each)
        return 0

    cdef int _copy(self, bytes made) except -1:
        if made is None:
            raise TypeError("a field that is made already is bytes")
        cdef Py_ssize_t length = PyBytes_GET_SIZE(made)
        self._reserve(length)
        memcpy(self._end, PyBytes_AS_STRING(made), length)
        self._end += length
        return 0

    cdef int _reserve(self, Py_ssize_t length) except -1:
        """Make room for so many bytes, and for what has a fixed size before and after them."""
        cdef Py_ssize_t used = self._end - self._bytes
        cdef Py_ssize_t least = used + length + 2 * FIXED
        cdef void *larger
        if least > self._room:
            larger = realloc(self._bytes, 2 * least)
            if larger == NULL:
                raise MemoryError
            self._bytes, self._room = <uint8_t *> larger, 2 * least
            self._end = self._bytes + used
        return 0


cdef class TraceSpans:
    """Makes the spans of one request. Their places are numbers; 0 is the request itself.

    Args:
        writer: writes them.
        trace: the request's place in its trace.
    """

    cdef Writer _writer
    cdef bytes _trace
    cdef uint64_t _own, _caller
    cdef int _flags

    def __init__(self, Writer writer not None, trace):
        self._writer, self._own = writer, trace.span_id
        trace_id, state = bytes.fromhex(trace.trace_id), trace.state.encode()
        # Two fields, which every span and link begins with.
        self._trace = writer.framed(0x0A, (trace_id,))
        if state:
            self._trace += writer.framed(0x1A, (state,))
        self._caller = int(trace.parent_id, 16) if trace.parent_id else 0
        self._flags = LOCAL_PARENT if trace.root is not None or not self._caller else LOCAL_PARENT | REMOTE_PARENT

    def event(self, str name, double at, dict attributes):
        """Return an event; `at` is on the clock of `tandem.clock.now()`."""
        cdef Writer writer = self._writer
        cdef Py_ssize_t length
        cdef const char *characters = _characters(name, &length)
        writer._begin()
        writer._reserve(length)
        writer._end = _fixed(writer._end, 0x09, <uint64_t> writer._ns(at), 8)
        writer._end = _text(writer._end, 0x12, characters, length)
        writer._attributes(OF_EVENT, attributes)
        return writer._framed(EVENT)

    def link(self, int slot, str why):
        """Return a link to the span in a place."""
        cdef Writer writer = self._writer
        writer._begin()
        self._identify(slot)
        writer._end = _fixed(writer._end, 0x35, LOCAL_PARENT, 4)
        writer._attribute(OF_LINK, LINK, why)
        return writer._framed(A_LINK)

    def span(
        self,
        str name not None,
        int slot,
        tuple times not None,
        dict attributes not None,
        *,
        int below=0,
        int kind=1,
        str error="",
        fault=None,
        events=(),
    ):
        """Return the span in a place, from one time to another, on the clock of `tandem.clock.now()`.

        It is below the span in another place; that of the request below its caller's. `error` is the kind of error that
        ended it; `fault` says whether that makes it a span of an error, if the kind alone does not. `events` are its
        events and links.
        """
        cdef Writer writer = self._writer
        cdef uint64_t parent = child_of(self._own, below) if slot else self._caller
        cdef double started, ended
        started, ended = times
        cdef Py_ssize_t length
        cdef const char *characters = _characters(name, &length)
        writer._begin()
        self._identify(slot)
        writer._reserve(length)
        if parent:
            writer._end = _identifier(writer._end, 0x22, parent)
        writer._end = _text(writer._end, 0x2A, characters, length)
        writer._end = _tagged(writer._end, 0x30, kind)
        writer._end = _fixed(writer._end, 0x39, <uint64_t> writer._ns(started), 8)
        writer._end = _fixed(writer._end, 0x41, <uint64_t> writer._ns(ended), 8)
        # Field 16, of which the tag takes two bytes.
        writer._end[0] = 0x85
        writer._end = _fixed(writer._end + 1, 0x01, <uint64_t> (LOCAL_PARENT if slot else self._flags), 4)
        if error not in NO_FAULT if fault is None else fault:
            writer._end = _tagged(_tagged(writer._end, 0x7A, 2), 0x18, STATUS_ERROR)
        writer._attributes(OF_SPAN, attributes)
        if error:
            writer._attribute(OF_SPAN, ERROR_TYPE, error)
        for each in events:
            writer._copy(each)
        return writer._framed(SPAN)

    cdef int _identify(self, int slot) except -1:
        """Write which span of which trace it is that is in a place."""
        cdef Writer writer = self._writer
        writer._copy(self._trace)
        writer._end = _identifier(writer._end, 0x12, child_of(self._own, slot))
        return 0


def child(uint64_t span_id, int slot):
    """Return the identifier of the span that a place in the request has whose own is `span_id`; 0 is the request."""
    return child_of(span_id, slot)


def traceparent(str trace_id, uint64_t span_id, int slot, bint sampled):
    """Return the context that the span in a place passes on.

    Raises:
        ValueError: the identifier of the trace has not 32 characters.
    """
    cdef char written[55]
    cdef Py_ssize_t length
    cdef const char *characters = _characters(trace_id, &length)
    cdef uint64_t number = child_of(span_id, slot)
    cdef int at
    if length != 32:
        raise ValueError(f"an identifier of a trace has 32 digits, and not {trace_id}")
    memcpy(written, b"00-", 3)
    memcpy(written + 3, characters, 32)
    written[35] = b"-"
    for at in range(16):
        written[36 + at] = HEX[(number >> (60 - 4 * at)) & 15]
    memcpy(written + 52, b"-01" if sampled else b"-00", 3)
    return PyUnicode_DecodeASCII(written, 55, NULL)


cdef inline uint64_t child_of(uint64_t span_id, int slot) noexcept:
    # None is 0, which is no identifier. Every span of a request has another from the first.
    return (span_id + <uint64_t> slot * STEP) or 1


cdef inline const char *_characters(object text, Py_ssize_t *length) except NULL:
    """Find the bytes of a text in UTF-8; those of most are at hand."""
    if PyUnicode_Check(text) and PyUnicode_IS_COMPACT_ASCII(text):
        length[0] = PyUnicode_GET_LENGTH(text)
        return <const char *> PyUnicode_DATA(text)
    return PyUnicode_AsUTF8AndSize(text, length)


cdef inline uint8_t *_varint(uint8_t *place, uint64_t number) noexcept:
    """Write a whole number, seven bits a byte, the lowest first; return where to go on, as all of these do."""
    while number > 0x7F:
        place[0] = <uint8_t> (number & 0x7F | 0x80)
        number >>= 7
        place += 1
    place[0] = <uint8_t> number
    return place + 1


cdef inline uint8_t *_tagged(uint8_t *place, uint8_t tag, uint64_t number) noexcept:
    """Write a field that is a number, or the beginning of one that is so long."""
    place[0] = tag
    return _varint(place + 1, number)


cdef inline uint8_t *_text(uint8_t *place, uint8_t tag, const char *characters, Py_ssize_t length) noexcept:
    place = _tagged(place, tag, length)
    memcpy(place, characters, length)
    return place + length


cdef inline uint8_t *_fixed(uint8_t *place, uint8_t tag, uint64_t number, int size) noexcept:
    """Write a field of four or eight bytes, the lowest first."""
    cdef int at
    place[0] = tag
    for at in range(size):
        place[1 + at] = <uint8_t> (number >> (8 * at))
    return place + 1 + size


cdef inline uint8_t *_identifier(uint8_t *place, uint8_t tag, uint64_t number) noexcept:
    """Write a field that is a text of eight bytes, the highest first."""
    cdef int at
    place[0], place[1] = tag, 8
    for at in range(8):
        place[2 + at] = <uint8_t> (number >> (56 - 8 * at))
    return place + 10


cdef inline Py_ssize_t _field_size(Py_ssize_t length) noexcept:
    """Return how many bytes something takes with its tag and its length."""
    cdef uint8_t written[10]
    return 1 + (_varint(written, length) - written) + length


cdef Py_ssize_t _value_size(value) except -1:
    """Return how many bytes the fields of an `AnyValue` take."""
    cdef uint8_t written[10]
    cdef Py_ssize_t length
    if isinstance(value, str):
        _characters(value, &length)
        return _field_size(length)
    if isinstance(value, float):
        return 9
    if isinstance(value, int):
        return 1 + (_varint(written, <uint64_t> <int64_t> value) - written)
    return _field_size(_array_size(value))


cdef Py_ssize_t _array_size(value) except -1:
    """Return how many bytes the fields of an `ArrayValue` take."""
    cdef Py_ssize_t sum = 0
    for each in <tuple?> value:
        sum += _field_size(_value_size(each))
    return sum
