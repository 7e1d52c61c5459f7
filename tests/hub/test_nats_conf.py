import dataclasses
import subprocess
from pathlib import Path

import pytest

from edge.config.load import read_config
from hub.nats_conf import edge_block, leaf_block, render
from hub.nats_server import find_nats_server
from hub.plan import new_plan

PLAN = new_plan("127.0.0.1", 4000, ("edge-1", "barn"))
PLAN_DIR = Path("/hub")


@pytest.mark.parametrize("node", PLAN.nodes, ids=lambda node: node.name)
def test_nats_server_accepts_the_configuration(node, tmp_path):
    config = tmp_path / "node.conf"
    config.write_text(render(PLAN, node, tmp_path))
    checked = subprocess.run([find_nats_server(None), "-t", "-c", config], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    assert "is valid" in checked.stderr + checked.stdout


def test_node_routes_to_the_two_others():
    text = render(PLAN, PLAN.nodes[0], PLAN_DIR)
    assert "127.0.0.1:4004" in text and "127.0.0.1:4005" in text
    assert text.count("127.0.0.1:4003") == 1  # its own listener, no route to itself


def test_store_directory_with_quotes_and_spaces_is_quoted(tmp_path):
    odd = tmp_path / 'a "b" c'
    odd.mkdir()
    config = odd / "node.conf"
    config.write_text(render(PLAN, PLAN.nodes[0], odd))
    checked = subprocess.run([find_nats_server(None), "-t", "-c", config], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


def test_each_edge_has_its_own_leaf_password():
    text = render(PLAN, PLAN.nodes[0], PLAN_DIR)
    assert PLAN.edges["edge-1"] != PLAN.edges["barn"]
    assert all(f'user: "{edge}", password: "{password}"' in text for edge, password in PLAN.edges.items())


def test_leaf_block_names_every_node_with_the_edges_credentials():
    block = leaf_block(PLAN, "barn")
    for port in (4006, 4007, 4008):
        assert f'"nats://barn:{PLAN.edges["barn"]}@127.0.0.1:{port}"' in block
    assert 'server_name: "barn"' in block


def test_edge_takes_its_block_as_it_is(tmp_path):
    config = tmp_path / "edge.conf"
    config.write_text(edge_block(PLAN, "barn", with_files=True))
    found = read_config(str(config), {})
    assert [uplink.hub_stream for uplink in found.uplinks] == ["TELEMETRY", "RESULTS"]
    assert found.downlink is not None and None not in found.downlink
    config.write_text(edge_block(PLAN, "barn", with_files=False))
    downlink = read_config(str(config), {}).downlink
    assert downlink is not None and downlink.files is None and downlink.commands is not None


def test_leafs_are_told_the_advertised_address():
    nodes = tuple(dataclasses.replace(node, leaf_advertise=f"far:{node.leaf_port}") for node in PLAN.nodes)
    plan = dataclasses.replace(PLAN, nodes=nodes)
    assert 'advertise: "far:4006"' in render(plan, nodes[0], PLAN_DIR)
    assert "@far:4006" in leaf_block(plan, "barn")


def test_nodes_of_two_clusters_have_gateways(tmp_path):
    clusters = ("east", "west", "west")
    nodes = tuple(
        dataclasses.replace(node, cluster=cluster, gateway_port=5000 + i)
        for i, (node, cluster) in enumerate(zip(PLAN.nodes, clusters, strict=True))
    )
    plan = dataclasses.replace(PLAN, nodes=nodes)
    text = render(plan, nodes[1], tmp_path)
    assert "127.0.0.1:4003" not in text and "127.0.0.1:4005" in text  # routes within the cluster only
    config = tmp_path / "node.conf"
    config.write_text(text)
    checked = subprocess.run([find_nats_server(None), "-t", "-c", config], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    assert text.count("@127.0.0.1:500") == 3
