"""A browser has a session without saying a name: OHIF sends none, and every point of its structure each time."""

import json
from urllib.parse import urlsplit

import httpx
import pytest

from tests.app.images import CLICKS
from tests.app.sessions import seeds_of


class Browser:
    """Sends what a page of a server sends, and keeps cookies."""

    def __init__(self, server, origin=None):
        self._address, self._cookies = f"{server.url}/infer/imos", httpx.Cookies()
        self._headers = {"origin": origin or f"http://{urlsplit(server.url).netloc}"}

    def send(self, **params):
        query, form = {"image": "plain", "output": "all"}, {"params": json.dumps(params)}
        reply = httpx.post(
            self._address, params=query, data=form, headers=self._headers, cookies=self._cookies, timeout=60
        )
        self._cookies.update(reply.cookies)
        assert reply.status_code == 200, reply.text
        part = reply.content.split(b'name="params"', 1)[1]
        return json.JSONDecoder().raw_decode(part[part.index(b"{") :].decode(errors="ignore"))[0]["imos"]


@pytest.fixture
def browser(server):
    return Browser(server)


def test_a_page_of_this_server_refines_and_undoes(browser):
    browser.send(**CLICKS)
    imos = browser.send(foreground=[*CLICKS["foreground"], [22, 17, 9]], background=CLICKS["background"])
    assert seeds_of(imos) == [(2, 6, "points"), (2, 9, "points")]
    assert imos["recomputed"] == {"object": [7, 11]}
    imos = browser.send(foreground=[[1, 1, 1]], history="undo")
    assert seeds_of(imos) == [(2, 6, "points")]
    assert imos["history"]["can_redo"]


def test_points_that_share_none_with_those_before_are_of_another_structure(browser):
    browser.send(**CLICKS)
    imos = browser.send(foreground=[[30, 40, 8]])
    assert seeds_of(imos) == [(2, 8, "points")]
    assert (imos["history"]["step"], imos["history"]["steps"]) == (1, 1)


def test_two_browsers_at_one_address_have_nothing_in_common(server, browser):
    browser.send(**CLICKS)
    imos = Browser(server).send(foreground=[[30, 40, 8]])
    assert imos["history"]["step"] == 1
    assert browser.send(**CLICKS)["history"] == {"step": 1, "steps": 1, "can_undo": True, "can_redo": False}


def test_of_a_page_of_another_server_nothing_is_kept(server):
    stranger = Browser(server, origin="http://elsewhere.example")
    assert stranger.send(**CLICKS)["history"] is None
