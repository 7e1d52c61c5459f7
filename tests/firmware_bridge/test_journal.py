import asyncio
import sqlite3
from pathlib import Path

import pytest

from firmware_bridge.journal import Entry, Journal, JournalError
from firmware_bridge.lookback import Place


def test_the_next_process_knows(journal: str) -> None:
    async def first() -> None:
        opened = await Journal.open(journal)
        assert opened.next_seq("pump", 9) == 0 and opened.place("pump") is None
        await opened.put("pump", Entry(9, 4, Place("T", 40)))
        await opened.put("pump", Entry(9, 5, Place("T", 41)))
        await opened.put("valve", Entry(1, 1, Place("U", 2)))
        await opened.close()

    async def second() -> None:
        opened = await Journal.open(journal)
        assert opened.next_seq("pump", 9) == 6 and opened.place("pump") == Place("T", 41)
        assert opened.next_seq("pump", 10) == 0, "another boot: nothing is known"
        assert opened.next_seq("valve", 1) == 2
        await opened.close()

    asyncio.run(first())
    asyncio.run(second())


def test_a_file_that_is_no_journal(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(b"not a database, " * 100)
    with pytest.raises(JournalError, match=r"cannot use the journal .*move it away"):
        asyncio.run(Journal.open(str(tmp_path / "journal")))
    with pytest.raises(JournalError, match="cannot open the journal"):
        asyncio.run(Journal.open(str(tmp_path)))


def test_a_journal_that_cannot_be_written_says_so_and_keeps_it_in_memory(journal: str) -> None:
    async def main() -> None:
        opened = await Journal.open(journal)
        other = sqlite3.connect(journal)
        other.execute("DROP TABLE stored")
        other.commit()
        other.close()
        with pytest.raises(JournalError, match="cannot write"):
            await opened.put("pump", Entry(9, 4, Place("T", 40)))
        assert opened.next_seq("pump", 9) == 5
        await opened.close()

    asyncio.run(main())
