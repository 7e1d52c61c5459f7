import json
import stat

import pytest

from hub.errors import HubError
from hub.plan import load_plan, new_plan, save_plan, with_edges


def ports(plan):
    return [port for node in plan.nodes for port in (node.client_port, node.cluster_port, node.leaf_port)]


def test_system_chooses_nine_different_ports():
    assert len(set(ports(new_plan("127.0.0.1", None, ())))) == 9


def test_base_port_counts_upward():
    assert sorted(ports(new_plan("127.0.0.1", 4222, ()))) == list(range(4222, 4231))


def test_plan_is_kept_for_its_owner_only(tmp_path):
    plan = new_plan("127.0.0.1", None, ("edge-1",))
    save_plan(plan, tmp_path)
    assert load_plan(tmp_path) == plan
    assert stat.S_IMODE((tmp_path / "hub.json").stat().st_mode) == 0o600


def test_no_plan_where_no_hub_was(tmp_path):
    assert load_plan(tmp_path) is None


def test_known_edges_keep_their_passwords():
    before = new_plan("127.0.0.1", None, ("edge-1",))
    after = with_edges(before, ("edge-1", "edge-2"))
    assert after.edges["edge-1"] == before.edges["edge-1"]
    assert set(after.edges) == {"edge-1", "edge-2"}


@pytest.mark.parametrize("name", ["", "a.b", "a b", "a*", ">", "a@b", "a:b", "é", "x" * 65])
def test_edge_name_must_be_a_token(name):
    with pytest.raises(HubError, match="edge name"):
        new_plan("127.0.0.1", None, (name,))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"host": 1, "nodes": [], "passwords": {}, "edges": {}}'])
def test_damaged_plan_is_one_clear_error(tmp_path, text):
    (tmp_path / "hub.json").write_text(text)
    with pytest.raises(HubError, match=r"hub\.json: cannot be read"):
        load_plan(tmp_path)


def test_host_that_is_not_ours():
    with pytest.raises(HubError, match=r"cannot listen on 192\.0\.2\.1"):
        new_plan("192.0.2.1", None, ())


def test_passwords_differ_between_hubs():
    first, second = new_plan("127.0.0.1", None, ("e",)), new_plan("127.0.0.1", None, ("e",))
    assert first.passwords != second.passwords and first.edges != second.edges
    assert all(len(word) >= 20 for word in json.loads(json.dumps(first.edges)).values())
