from edge.core.leaf_grants import LeafGrants, told
from edge.core.permissions import Permissions, SubjectRule

LIMITED = Permissions(SubjectRule(("up.>",), ("up.secret",)), SubjectRule(("down.>", "_INBOX.>"), ("down.secret", "x q")))


def test_everything_but_jetstreams_own() -> None:
    grants = LeafGrants(None, ("no.>",), "gw")
    assert grants.received("a") and grants.received("$JS.API.INFO"), "it is for the leaf to keep those"
    assert grants.exported("a") and grants.lets_want("a") and grants.asks("a")
    for subject in ("$JS.API.INFO", "$KV.b.k", "$OBJ.b.k", "no.thanks", "$JS.gw.API.INFO"):
        assert not grants.exported(subject) and not grants.lets_want(subject)
    assert grants.asks("$JS.API.>") and grants.asks("$JS.gw.API.>") and not grants.asks("$KV.b.>")
    assert grants.wanted("$JS.leaf.API.>") and not grants.wanted("$KV.>")


def test_what_a_user_may() -> None:
    grants = LeafGrants(LIMITED)
    assert grants.received("up.a") and not grants.received("up.secret") and not grants.received("down.a")
    assert grants.received("_R_.x.y") and grants.received("$JS.ACK.S.C.1")
    assert grants.exported("down.a") and not grants.exported("down.secret") and not grants.exported("up.a")
    assert grants.lets_want(">") and grants.lets_want("down.a") and not grants.lets_want("up.a")
    assert grants.lets_want("$LDS.x") and grants.asks("$LDS.x")
    assert grants.asks("up.>") and grants.asks(">") and not grants.asks("down.a") and not grants.asks("down.>")


def test_other_rights() -> None:
    grants = LeafGrants(LIMITED)
    assert not grants.received("more")
    grants.permit(None)
    assert grants.received("more") and grants.exported("more")


def test_what_the_leaf_is_told() -> None:
    assert told(None) == told(Permissions()) == {}
    assert told(LIMITED) == {
        "import": {"allow": ["down.>", "_INBOX.>"], "deny": ["down.secret", "x q"]},
        "export": {"allow": ["up.>"], "deny": ["up.secret"]},
    }
