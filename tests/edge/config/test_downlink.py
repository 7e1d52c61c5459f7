import pytest

from edge.config.load import load_config
from edge.config.options import Bucket, Commands, Downlink
from edge.errors import ConfigError
from edge.flags import Flags

FOUND = "jetstream { store_dir: /x }\nleafnodes { remotes: [ { url: nats-leaf://hub } ] }\n"


def load(tmp_path, text, more=FOUND):
    path = tmp_path / "edge.conf"
    path.write_text(more + text)
    return load_config(str(path), Flags(), {}).downlink


def test_defaults(tmp_path):
    assert load(tmp_path, "commands { hub_domain: hub }\ndesired { hub_domain: hub }\nreported { }") == Downlink(
        Commands("hub"), Bucket("DESIRED", "hub"), Bucket("REPORTED")
    )
    assert load(tmp_path, "") is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("commands { }", "expected hub_domain"),
        ("commands { hub_domain: a.b }", "expected a name without dots"),
        ("commands { hub_domain: hub, stream: 'a b' }", "stream: expected a name"),
        ("commands { hub_domain: hub, parallel: 0 }", "parallel"),
        ("commands { hub_domain: hub, timeout: '0s' }", "timeout: expected longer"),
        ("commands { hub_domain: hub, max_bytes: -1 }", "max_bytes: expected a size above 0"),
        ("commands { hub_domain: hub, colour: red }", "colour"),
        ("desired { bucket: D }", "expected hub_domain"),
        ("files { hub_domain: hub }", "expected dir"),
        ("files { dir: /x }", "expected hub_domain"),
        ("files { dir: /x, hub_domain: hub, bucket: '*' }", "bucket: expected letters"),
        ("reported { bucket: 'a.b' }", "bucket: expected letters"),
    ],
)
def test_mistakes(tmp_path, text, problem):
    with pytest.raises(ConfigError, match=problem):
        load(tmp_path, text)


@pytest.mark.parametrize("more", ["", "jetstream { store_dir: /x }\n"])
def test_without_a_store_or_a_hub(tmp_path, more):
    with pytest.raises(ConfigError, match="need a store and a hub"):
        load(tmp_path, "reported { }", more)
