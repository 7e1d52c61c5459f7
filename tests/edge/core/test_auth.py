from edge.core.auth import Authenticator, Login, User

USERS = (User("a", "pa", "A"), User("b", "pb", "B"))


def test_without_users_everybody_comes_in() -> None:
    auth = Authenticator()
    assert not auth.required and auth.login("", "", "") == Login("$G") == auth.login("x", "y", "z")


def test_users_need_their_passwords() -> None:
    auth = Authenticator(USERS)
    assert auth.required
    assert auth.login("a", "pa", "") == Login("A", "a")
    assert auth.login("a", "pb", "") is None and auth.login("", "", "") is None and auth.login("c", "", "") is None


def test_a_token_may_come_as_the_user_of_a_url() -> None:
    auth = Authenticator(token="t")
    assert auth.required and auth.login("", "", "t") == Login("$G") == auth.login("t", "", "")
    assert auth.login("", "", "x") is None and auth.login("t", "t", "") is None


def test_no_auth_user_is_for_those_who_say_nothing() -> None:
    auth = Authenticator(USERS, no_auth_user="b")
    assert not auth.required and auth.login("", "", "") == Login("B", "b")
    assert auth.login("a", "wrong", "") is None and auth.login("a", "pa", "") == Login("A", "a")
