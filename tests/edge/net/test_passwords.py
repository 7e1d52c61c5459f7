import asyncio

import bcrypt

from edge.net.passwords import MAX_WAITING, Passwords, compare

HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()


def test_hashes_of_every_name() -> None:
    for prefix in ("$2a$", "$2b$", "$2y$"):
        hashed = HASH.replace("$2b$", prefix)
        assert compare("secret", hashed) and not compare("Secret", hashed) and not compare("", hashed)
    assert compare("\udcff" * 80, bcrypt.hashpw(b"\xff" * 72, bcrypt.gensalt(4)).decode())


def test_in_a_thread_of_its_own() -> None:
    async def main() -> None:
        passwords = Passwords(asyncio.get_running_loop())
        verdicts: list[tuple[int, bool]] = []
        done = asyncio.Event()

        def verdict(number: int, fits: bool) -> None:
            verdicts.append((number, fits))
            if len(verdicts) == MAX_WAITING + 1:
                done.set()

        for i in range(MAX_WAITING + 1):
            passwords.check("secret", HASH, lambda fits, i=i: verdict(i, fits))
        assert verdicts == [(MAX_WAITING, False)]  # one too many is refused at once
        await done.wait()
        assert verdicts[1:] == [(i, True) for i in range(MAX_WAITING)] and passwords.waiting == 0
        bad: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        passwords.check("secret", "$2b$damaged", bad.set_result)
        assert not await bad
        passwords.close()

    asyncio.run(main())
