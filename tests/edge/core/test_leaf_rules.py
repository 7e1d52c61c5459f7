import pytest

from edge.core.leaf_rules import LinkRules
from edge.protocol.leaf import Rule


@pytest.mark.parametrize("subject", ["$JS.API.INFO", "$KV.b.k", "$OBJ.x", "$JS.edge.API.STREAM.LIST"])
def test_jetstream_stays_on_each_side(subject: str) -> None:
    rules = LinkRules(domain="edge")
    assert not rules.exported(subject)
    assert not rules.wanted(subject)
    assert rules.exported("$JS.hub.API.INFO")
    assert rules.exported("$O.bucket.C.x")


def test_interest_in_jetstream_is_not_announced() -> None:
    rules = LinkRules(domain="edge")
    for subject in ("$JS.API.INFO", "$JS.API.>", "$KV.b.k", "$KV.b.*", "$KV.>", "$OBJ.>"):
        assert not rules.asks(subject)
    for subject in (">", "$JS.edge.API.>", "$JS.>", "_INBOX.x.*", "$O.>"):
        assert rules.asks(subject)
    assert not rules.received("$JS.API.INFO")
    assert rules.received("$JS.edge.API.INFO")


def test_subjects_of_uplinks_go_up_by_the_uplink_alone_and_do_not_come_down() -> None:
    rules = LinkRules(up_only=["telemetry.>"])
    assert not rules.exported("telemetry.e.d.t")
    assert not rules.wanted("telemetry.>") and not rules.wanted("telemetry.e.*")
    assert not rules.received("telemetry.other.d.t")
    assert not rules.asks("telemetry.>")
    assert rules.hub_takes("telemetry.e.d.t")
    assert rules.deny_imports == ("telemetry.>",)


def test_deny_lists_of_the_remote() -> None:
    rules = LinkRules(deny_imports=["in.secret"], deny_exports=["out.secret.>"])
    assert not rules.exported("out.secret.x") and rules.exported("out.x")
    assert not rules.received("in.secret") and rules.received("in.x")
    assert not rules.asks("in.secret") and rules.asks("in.*")
    assert rules.deny_imports == ("in.secret",)


def test_permissions_of_the_hub() -> None:
    rules = LinkRules()
    assert rules.hub_takes("anything")
    rules.set_hub(Rule(("down.>", "_INBOX.>")), Rule(("up.>",), ("up.secret",)))
    assert rules.hub_takes("up.ok") and not rules.hub_takes("up.secret") and not rules.hub_takes("anything")
    assert rules.hub_takes("$JS.ACK.S.C.1.1.1.1.0") and rules.hub_takes("_R_.abc.x")
    assert rules.asks("down.x") and rules.asks("_INBOX.a.*")
    assert not rules.asks("other.sub") and not rules.asks("other.*")
    # a wildcard wider than what is allowed is announced: the hub sends the part that is
    assert rules.asks(">") and rules.asks("down.*")
    assert rules.asks("$LDS.x") and rules.asks("_GR_.>")


def test_answers_by_gateways_are_judged_by_the_subject_within() -> None:
    rules = LinkRules(deny_exports=["no.>"])
    rules.set_hub(Rule(), Rule(("yes.>", "no.>"), ()))
    for prefix in ("_GR_.abcdef.ghijkl.", "$GR.abcd."):
        assert rules.exported(f"{prefix}yes.a") and rules.hub_takes(f"{prefix}yes.a")
        assert not rules.exported(f"{prefix}no.a")
        assert not rules.hub_takes(f"{prefix}other")
        assert rules.hub_takes(f"{prefix}$JS.ACK.S.C.1.1.1.1.0")
        assert rules.received(f"{prefix}anything")
