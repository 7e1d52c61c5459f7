from edge.core.auth import ConfiguredUsers, Credentials, Login, Refusal, User

USERS = (User("a", "pa", "A"), User("b", "pb", "B"))


def login(auth: ConfiguredUsers, user: str, password: str, token: str) -> Login | None:
    """The verdict, which comes at once; None for a refusal."""
    verdicts: list[Login | Refusal] = []
    auth.login(Credentials(user=user, password=password, token=token), verdicts.append)
    return None if isinstance(verdicts[0], Refusal) else verdicts[0]


def test_without_users_everybody_comes_in() -> None:
    auth = ConfiguredUsers()
    assert not auth.required and login(auth, "", "", "") == Login("$G") == login(auth, "x", "y", "z")


def test_users_need_their_passwords() -> None:
    auth = ConfiguredUsers(USERS)
    assert auth.required
    assert login(auth, "a", "pa", "") == Login("A", "a")
    assert login(auth, "a", "pb", "") is None and login(auth, "", "", "") is None and login(auth, "c", "", "") is None


def test_a_token_may_come_as_the_user_of_a_url() -> None:
    auth = ConfiguredUsers(token="t")
    assert auth.required and login(auth, "", "", "t") == Login("$G") == login(auth, "t", "", "")
    assert login(auth, "", "", "x") is None and login(auth, "t", "t", "") is None


def test_no_auth_user_is_for_those_who_say_nothing() -> None:
    auth = ConfiguredUsers(USERS, no_auth_user="b")
    assert not auth.required and login(auth, "", "", "") == Login("B", "b")
    assert login(auth, "a", "wrong", "") is None and login(auth, "a", "pa", "") == Login("A", "a")
