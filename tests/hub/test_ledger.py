import pytest

from hub.ledger import balance


def test_books_balance_in_any_order():
    account = balance({"a": 2, "b": 1}, [("b", 1), ("a", 2), ("a", 1)])
    assert (account.produced, account.stored) == (3, 3)
    assert account.balances() and account.faults() == []


@pytest.mark.parametrize(
    "stored, fault",
    [
        ([("a", 1)], "1 missing: a #2"),
        ([("a", 1), ("a", 2), ("a", 2), ("a", 2)], "2 duplicate: a #2, a #2"),
        ([("a", 1), ("a", 2), ("a", 3)], "1 never produced: a #3"),
        ([("a", 1), ("a", 2), ("z", 1)], "1 never produced: z #1"),
    ],
)
def test_what_does_not_balance_is_named(stored, fault):
    account = balance({"a": 2}, stored)
    assert not account.balances()
    assert account.faults() == [fault]


def test_loss_and_duplicate_of_equal_number_do_not_cancel():
    account = balance({"a": 3}, [("a", 1), ("a", 1), ("a", 3)])
    assert account.produced == account.stored
    assert account.missing == (("a", 2),) and account.duplicates == (("a", 1),)


def test_long_lists_are_shortened():
    assert balance({"a": 100}, []).faults() == ["100 missing: a #1, a #2, a #3, a #4, a #5, ..."]


def test_nothing_from_nothing():
    assert balance({}, []).balances()
