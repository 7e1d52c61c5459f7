"""The write-ahead log after a cut, in SQLite's file format (sqlite.org/fileformat2.html#walformat).

SQLite takes the first frame whose checksum does not hold for the end of the log.  That is right for a frame that was
being written when the power went, and wrong for one that went bad later: everything committed behind it would be
lost, up to 16 MB of it.  They can be told apart, because a commit is synced before the next one begins: what has two
commits behind it was on disk.  The sums are linear, so a flipped bit is not only found but mostly put right.
"""

import logging
import os
import struct
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import apsw

log = logging.getLogger("edge.store")

HEADER = 32
FRAME_HEAD = 24
MAGICS = {0x377F0682: "<", 0x377F0683: ">"}  # byte order of the words that are summed
VERSION = 3007000
MASK = 0xFFFFFFFF

Sum = tuple[int, int]


class Frame(NamedTuple):
    page: int
    commit: int  # pages of the database behind it; 0: the transaction goes on
    salts: bytes
    sum: Sum
    content: bytes

    def summed(self) -> bytes:
        return struct.pack(">II", self.page, self.commit) + self.content


def mend_wal(path: str) -> str:
    """Before anything else opens the database at ``path``.  A line that says what was done, empty for nothing."""
    wal = path + "-wal"
    if not os.path.exists(wal) or os.path.getsize(wal) <= HEADER + FRAME_HEAD:
        return ""
    done = _mend_header(path)
    known = _known_frames(path)
    file = os.open(wal, os.O_RDWR | os.O_CLOEXEC)
    try:
        return done or Log(file).mend(known)
    finally:
        os.close(file)


def _known_frames(path: str) -> int:
    """Up to where SQLite believes the log."""
    connection = apsw.Connection(path)
    try:
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.execute("SELECT 1 FROM sqlite_schema").fetchall()
        frames, _ = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
        return max(frames, 0)
    finally:
        connection.close()


def _mend_header(path: str) -> str:
    with open(path, "rb") as database:
        stored = int.from_bytes(database.read(18)[16:])
    page_size = 65536 if stored == 1 else stored
    with open(path + "-wal", "r+b") as file:
        head = file.read(HEADER)
        if _header_sum(head) == struct.unpack(">II", head[24:32]):
            return ""
        file.seek(HEADER)
        salts = file.read(FRAME_HEAD)[8:16]
        file.seek(HEADER + FRAME_HEAD + page_size)
        if salts != file.read(FRAME_HEAD)[8:16]:
            salts = head[16:24]
        head = _header(page_size, head, salts)
        file.seek(0)
        file.write(head)
        file.flush()
        os.fsync(file.fileno())
    return "the head of the log was damaged and is put right"


def _header(page_size: int, damaged: bytes, salts: bytes) -> bytes:
    """Of its fields only the number of checkpoints is said nowhere else."""
    native = "<" if sys.byteorder == "little" else ">"
    wanted = struct.unpack(">II", damaged[24:32])
    checkpoints = int.from_bytes(damaged[12:16])
    candidates = [
        struct.pack(">IIII", magic, VERSION, page_size, checkpoints ^ turned) + salts
        for magic, order in MAGICS.items()
        if order == native  # as every machine writes it that has written this file
        for turned in (0, *(1 << bit for bit in range(32)))
    ]
    fitting = [head for head in candidates if _header_sum(head) == wanted]
    head = fitting[0] if fitting else candidates[0]  # or it is the sum that was hit
    return head + struct.pack(">II", *_header_sum(head))


def _header_sum(head: bytes | bytearray) -> Sum:
    return _sum(MAGICS.get(int.from_bytes(head[:4]), "<"), head[:24], (0, 0))


class Log:
    """The frames of a log whose head is sound."""

    def __init__(self, file: int) -> None:
        self.file = file
        head = os.pread(file, HEADER, 0)
        self.order = MAGICS.get(int.from_bytes(head[:4]), "<")
        self.page_size = int.from_bytes(head[8:12])
        self.salts = head[16:24]
        self.start: Sum = struct.unpack(">II", head[24:32])
        self.length = FRAME_HEAD + self.page_size

    def mend(self, known: int) -> str:
        """``known`` frames are believed already.  Believe those behind them that must have been on disk."""
        if not 512 <= self.page_size <= 65536:
            return ""
        if sum(self._is_commit(i) for i in range(known, self._count())) < 2:
            return ""  # the usual end: nothing, or the commit that the cut interrupted
        end = self._end(known)
        if end <= known:
            return ""
        largest = max(self._frame(i).commit for i in range(known, end))
        before = self._sum_before(known)
        changed: list[tuple[int, Frame]] = []
        for i in range(known, end):
            frame = self._frame(i)
            have = self._sum(frame, before)
            if have != frame.sum and i + 1 < end and self._sum(self._frame(i + 1), have) == self._frame(i + 1).sum:
                frame = frame._replace(sum=have)  # the next one rests on this sum: it was right when it was written
                changed.append((i, frame._replace(salts=self.salts)))
            elif have != frame.sum or frame.salts != self.salts:
                frame = self._put_right(frame, before)
                if not 1 <= frame.page <= largest:
                    return ""  # nobody knows where it belongs
                changed.append((i, frame))
            before = frame.sum
        for i, frame in changed:
            self._write(i, frame)
        os.fsync(self.file)
        return f"the log was damaged at frame {known + 1} of {end}; what was committed from there on is kept"

    def _end(self, known: int) -> int:
        """Behind the last commit of the last run of sound frames that has two."""
        end, commits = known, 0
        before = self._sum_before(known)
        for i in range(known, self._count()):
            frame = self._frame(i)
            if self._sum(frame, before) != frame.sum or frame.salts != self.salts:
                commits = 0
            elif frame.commit:
                commits += 1
                end = i + 1 if commits >= 2 else end
            before = frame.sum
        return end

    def _put_right(self, frame: Frame, before: Sum) -> Frame:
        """With the bit turned back that explains the sum, if only one does; else as it is, with a sum that fits.

        The high bits of a word weigh the same in many places, so about one in four flipped bits stays.
        """
        frame = frame._replace(salts=self.salts)
        have = self._sum(frame, before)
        missing = ((frame.sum[0] - have[0]) & MASK, (frame.sum[1] - have[1]) & MASK)
        words = list(struct.unpack(f"{self.order}{2 + self.page_size // 4}I", frame.summed()))
        changes = [
            (place, change)
            for place, change in _changes(missing, len(words))
            if words[place] ^ abs(change) == words[place] + change
        ]
        if len(changes) != 1:
            return frame._replace(sum=have)
        ((place, change),) = changes
        words[place] += change
        raw = struct.pack(f"{self.order}{len(words)}I", *words)
        page, commit = struct.unpack(">II", raw[:8])
        return frame._replace(page=page, commit=commit, content=raw[8:])

    def _sum_before(self, i: int) -> Sum:
        return self._frame(i - 1).sum if i else self.start

    # ---- frames in the file

    def _count(self) -> int:
        return (os.fstat(self.file).st_size - HEADER) // self.length

    def _is_commit(self, i: int) -> bool:
        head = os.pread(self.file, FRAME_HEAD, HEADER + i * self.length)
        return head[8:16] == self.salts and head[4:8] != bytes(4)

    def _frame(self, i: int) -> Frame:
        raw = os.pread(self.file, self.length, HEADER + i * self.length)
        page, commit = struct.unpack(">II", raw[:8])
        return Frame(page, commit, raw[8:16], struct.unpack(">II", raw[16:24]), raw[24:])

    def _write(self, i: int, frame: Frame) -> None:
        head = struct.pack(">II8sII", frame.page, frame.commit, frame.salts, *frame.sum)
        os.pwrite(self.file, head + frame.content, HEADER + i * self.length)

    def _sum(self, frame: Frame, before: Sum) -> Sum:
        return _sum(self.order, frame.summed(), before)


def _sum(order: str, data: bytes | bytearray, start: Sum) -> Sum:
    """Each pair of words adds to both sums, and each sum to the other."""
    s0, s1 = start
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for x0, x1 in zip(words[::2], words[1::2], strict=True):
        s0 = (s0 + x0 + s1) & MASK
        s1 = (s1 + x1 + s0) & MASK
    return s0, s1


def _changes(missing: Sum, length: int) -> Iterator[tuple[int, int]]:
    """Which word, changed by which power of two, changes the sums by what is missing."""
    for place, (a, b) in enumerate(_weights(length)):
        for bit in range(32):
            for change in (1 << bit, -(1 << bit)):
                if change * a & MASK == missing[0] and change * b & MASK == missing[1]:
                    yield place, change


def _weights(length: int) -> Sequence[Sum]:
    """What one more in each of the words adds to the two sums."""
    weights: list[Sum] = []
    # Of s0 and s1 as they stand behind a pair, what they add to the sums at the end: from the end backwards.
    of_s0, of_s1 = (1, 0), (0, 1)
    for _ in range(length // 2):
        # x1 is added to s1; x0 to s0, which is added to s1.
        weights.append(of_s1)
        weights.append(((of_s0[0] + of_s1[0]) & MASK, (of_s0[1] + of_s1[1]) & MASK))
        # s0' = s0 + s1, s1' = s1 + s0'
        of_s0, of_s1 = weights[-1], ((of_s0[0] + 2 * of_s1[0]) & MASK, (of_s0[1] + 2 * of_s1[1]) & MASK)
    return weights[::-1]
