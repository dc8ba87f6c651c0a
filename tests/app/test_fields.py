"""Every field of a request and of a reply is described, has a test over HTTP, and stands in docs/api.md as it is."""

import ast
from pathlib import Path

import pytest

from lib.infers.options import ADVERTISED
from lib.infers.request import CLIENT_KEYS
from lib.trainers.request import ADVERTISED as TRAINING
from scripts.fields.__main__ import PAGE, page
from scripts.fields.refusals import REFUSALS
from scripts.fields.reply_fields import REPLY
from scripts.fields.request_fields import CLIENT, MARKS, OPTIONS, REPLY_FILE
from scripts.fields.tables import FieldError, between, reply_table, request_tables, train_table
from tests.app.images import CLICKS

TESTS = Path(__file__).parent
OVER_HTTP = {"server", "slicer", "session", "three_seeds"}  # fixtures that reach a server
FIELDS = {**MARKS, **OPTIONS, **REPLY_FILE, **CLIENT}


def test_the_tables_of_the_page_are_those_of_the_code():
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text, "docs/api.md is stale: run python -m scripts.fields"


@pytest.mark.parametrize("named", [field.test for field in FIELDS.values()] + [refusal.test for refusal in REFUSALS])
def test_every_field_and_refusal_has_a_test_over_http(named):
    file, test = named.split("::")
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    (found,) = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == test]
    assert OVER_HTTP & {argument.arg for argument in found.args.args}, f"{test} asks no server"


def test_a_field_that_nobody_described_is_named():
    with pytest.raises(FieldError, match=r"\['brand_new'\] are in the code"):
        request_tables(ADVERTISED, [*CLIENT_KEYS, "brand_new"])
    with pytest.raises(FieldError, match=r"\['roi'\] are described"):
        request_tables(ADVERTISED, [key for key in CLIENT_KEYS if key != "roi"])


def test_a_reply_field_that_nobody_described_is_named(tmp_path):
    source = tmp_path / "reply.py"
    source.write_text('def reply_params():\n    return {"label_names": {}, "imos": {"brand_new": 1}}\n')
    with pytest.raises(FieldError, match=r"imos\.brand_new"):
        reply_table(source)


def test_a_field_of_training_that_nobody_described_is_named():
    with pytest.raises(FieldError, match=r"\['brand_new'\] are in the code"):
        train_table({**TRAINING, "brand_new": 1})


def test_a_page_without_markers_is_refused():
    with pytest.raises(FieldError, match="request fields"):
        between("# A page\n", "request fields", "table")


def test_a_reply_holds_the_fields_of_the_table_and_no_other(server):
    _, answer = server.infer("plain", {**CLICKS, "propagate": False})
    assert {"label_names", "advice", "imos"} <= answer.keys()
    held = {f"imos.{name}" for name in answer["imos"]} | {name for name in answer if name != "imos"}
    assert held <= set(REPLY)
    assert set(REPLY) - held == {"imos.saved"}


def test_every_field_can_be_sent(server):
    """With values that mean nothing new, together, and on top of what MONAI Label adds."""
    nothing = dict.fromkeys(FIELDS, "") | {"label_tag": "mine", "logging": "info", "client_id": "all fields"}
    assert server.post("plain", {**nothing, **CLICKS}).status_code == 200
