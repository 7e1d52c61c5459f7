"""``mappings``, of accounts and of the global account."""

from collections.abc import Callable

import pytest

from edge.config.options import Config
from edge.core.account_spec import AccountSpec, Destination, Mapping

Load = Callable[..., Config]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: b", Mapping("a", (Destination("b"),))),
        ('"a.*": "b.$1"', Mapping("a.*", (Destination("b.$1"),))),
        ('"a.*": "b.{{partition(3,1)}}"', Mapping("a.*", (Destination("b.{{partition(3,1)}}"),))),
        ("a: {destination: b, weight: 40%}", Mapping("a", (Destination("b", 40),))),
        ("a: [{dest: b, weight: 40}, {dest: c, weight: '60%'}]", Mapping("a", (Destination("b", 40), Destination("c", 60)))),
        ("a: [{dest: b, weight: 80, cluster: x}, {dest: c, weight: 80}]", Mapping("a", (Destination("b", 80, "x"), Destination("c", 80)))),
        ("a: []", Mapping("a", ())),
    ],
)
def test_mappings(text: str, expected: Mapping, load: Load) -> None:
    assert load(f"accounts {{ A {{ mappings {{ {text} }} }} }}").accounts[0].mappings == (expected,)
    assert load(f"mappings {{ {text} }}").accounts == (AccountSpec("$G", mappings=(expected,)),)


def test_the_global_account_beside_others(load: Load) -> None:
    accounts = load("maps { a: b }\naccounts: [A]").accounts
    assert [account.name for account in accounts] == ["$G", "A"] and not accounts[1].mappings


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a..b: c", "1:12: mappings: 'a..b' is not a valid subject"),
        ("a: 5", "1:15: a mapping: expected a subject, or { destination: ..., weight: 50% }, found the number 5"),
        ("a: {dest: b}", "1:15: a destination needs a weight"),
        ("a: {weight: 5}", "1:15: a mapping needs a destination"),
        ("a: {dest: b, weight: 101}", "1:33: weight: expected 0 to 100 percent, found the number 101"),
        ("a: {dest: b, weight: half}", "1:33: weight: expected 0 to 100 percent, found the string 'half'"),
        ("a: [{dest: b, weight: 60}, {dest: c, weight: 50}]", "1:12: a: the weights are 110 % in all, at most 100"),
        ("a: [{dest: b, weight: 10}, {dest: b, weight: 50}]", "1:12: a: 'b' is listed twice"),
        ("a: 'b c'", "1:12: a: cannot become 'b c': white space"),
        ("a: b..c", "1:12: a: cannot become 'b..c': "),
        ('"a.*": "b.$2"', "1:12: a.*: cannot become 'b.$2': "),
        ('"a.*": "b.{{bogus(1)}}"', "1:12: a.*: cannot become 'b.{{bogus(1)}}': "),
        ("a: {dest: b, wieght: 5}", "1:15: a destination needs a weight"),
    ],
)
def test_mistakes(text: str, problem: str, mistake: Callable[..., str]) -> None:
    assert mistake(f"mappings {{ {text} }}").startswith(problem)
