from __future__ import annotations

import re
from typing import Any

import pytest

from storm.config.blob_map import KEY, BlobUse, blob_uses, conf_uses
from storm.config.topology_conf import checked_conf
from storm.errors import ConfigError


def test_what_is_left_out_has_storms_defaults() -> None:
    assert blob_uses({"words.txt": {}, "stop.txt": None}) == (
        BlobUse("stop.txt", "stop.txt", False, False),
        BlobUse("words.txt", "words.txt", False, False),
    )


def test_everything_can_be_said() -> None:
    fields = {"localname": "models", "uncompress": True, "workerRestart": True}
    assert conf_uses({KEY: {"models.tgz": fields}}) == (BlobUse("models.tgz", "models", True, True),)
    assert conf_uses({}) == conf_uses({KEY: None}) == ()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ([], "expected a mapping"),
        ({"k": 5}, "'k': expected a mapping of localname, uncompress and workerRestart"),
        ({"k": {"localName": "a"}}, "there is no 'localName' here: did you mean 'localname'"),
        ({"k": {"uncompress": "yes"}}, "uncompress is true or false, not 'yes'"),
        ({"k": {"localname": "../up"}}, "localname '../up' is not the plain name of a file"),
        ({"k": {"localname": ".hidden"}}, "not the plain name"),
        ({"k": {"localname": ""}}, "not the plain name"),
        ({"k": {"localname": 7}}, "not the plain name"),
        ({"k": {"localname": "ü" * 101}}, "takes more than 200 bytes"),
        ({"k": {"localname": "launch.json"}}, "'launch.json' is taken"),
        ({"storm": {}}, "'storm' is taken"),
        ({"a": {"localname": "x"}, "b": {"localname": "x"}}, "'b': the local name 'x' is also that of 'a'"),
        ({5: {}}, "expected a blob's key"),
    ],
)
def test_what_is_wrong_is_refused_by_name(wrong: Any, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        blob_uses(wrong)


def test_a_topologys_conf_is_checked() -> None:
    assert checked_conf({KEY: {"k": None}})[0] == {KEY: {"k": {}}}
    with pytest.raises(ConfigError, match=r"topology\.blobstore\.map.*'k': uncompress"):
        checked_conf({KEY: {"k": {"uncompress": 1}}})
