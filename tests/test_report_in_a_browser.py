"""The report in a real browser, which Debian's packages chromium and chromium-driver bring."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.report import write_report
from tests.conftest import Loaded
from tests.reports import copy_of, lively

__all__ = ["lively"]
pytestmark = pytest.mark.slow

SELENIUM = "4.35.0"
BROWSER = """
import base64, json, sys, tempfile
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

TEXTS = '''
return [...document.querySelectorAll("svg")].filter(s => s.getClientRects().length).map(svg => ({
    title: svg.querySelector("title").textContent,
    texts: [...svg.querySelectorAll("text")].map(t => {
        const at = t.getBoundingClientRect();
        return [t.textContent, at.left, at.top, at.right, at.bottom,
            parseFloat(getComputedStyle(t).fontSize) * svg.getScreenCTM().a];
    })
}));
'''
options = webdriver.ChromeOptions()
options.binary_location = sys.argv[1]
for flag in ("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run",
             "disable-background-networking", "disable-component-update", "disable-sync",
             "hide-scrollbars", f"user-data-dir={tempfile.mkdtemp()}"):
    options.add_argument(f"--{flag}")
options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
service = webdriver.ChromeService(executable_path=sys.argv[2])
seen = {}
with webdriver.Chrome(options=options, service=service) as browser:
    do = browser.execute_cdp_cmd
    def look(name, width, scheme="light", media=""):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        do("Emulation.setEmulatedMedia", {"media": media, "features": features})
        do("Emulation.setDeviceMetricsOverride",
           {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 700})
        browser.get(sys.argv[3])
        page = browser.find_element(By.TAG_NAME, "html")
        seen[name] = {
            "width": browser.execute_script("return document.documentElement.scrollWidth"),
            "background": browser.execute_script(
                "return getComputedStyle(document.body).backgroundColor"),
            "ink": browser.execute_script("return getComputedStyle(document.body).color"),
            "nav": browser.find_element(By.TAG_NAME, "nav").is_displayed(),
            "tables": [d.is_displayed() for d in browser.find_elements(By.TAG_NAME, "details")],
            "drawings": browser.execute_script(TEXTS),
            "picture": do("Page.captureScreenshot", {"captureBeyondViewport": True})["data"],
        }
    look("light", 1280)
    look("dark", 1280, "dark")
    look("phone", 360)
    look("print", 720, "dark", "print")
    do("Emulation.setEmulatedMedia", {"media": "", "features": []})
    seen["pdf"] = do("Page.printToPDF", {"printBackground": True})["data"]
    body = browser.find_element(By.TAG_NAME, "body")
    body.send_keys(Keys.TAB)
    seen["first stop"] = browser.switch_to.active_element.text
    summary = browser.find_element(By.TAG_NAME, "summary")
    summary.send_keys(Keys.ENTER)
    seen["open"] = browser.find_element(By.TAG_NAME, "table").is_displayed()
    browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    do("Emulation.setDeviceMetricsOverride",
       {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": True})
    seen["width with tables"] = browser.execute_script(
        "return document.documentElement.scrollWidth")
    seen["console"] = browser.get_log("browser")
    events = [json.loads(e["message"])["message"] for e in browser.get_log("performance")]
    seen["requests"] = sorted({e["params"]["request"]["url"] for e in events
                               if e["method"] == "Network.requestWillBeSent"
                               and e["params"]["documentURL"] == sys.argv[3]})
    # That a violation would be seen: one is made.
    browser.execute_script("document.body.style.cssText; document.body.innerHTML +="
                           "'<img src=http://127.0.0.1:9/x.png><p style=color:red>x</p>'")
    seen["console then"] = browser.get_log("browser")
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def seen(lively: Loaded, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert browser, "this needs a browser: apt-get install chromium chromium-driver"
    assert driver, "this needs its driver: apt-get install chromium-driver"
    page = write_report(copy_of(lively), tmp_path_factory.mktemp("page") / "report.html")
    done = subprocess.run(
        [sys.executable, "-c", BROWSER, browser, driver, page.as_uri()],
        env=os.environ | {"PYTHONPATH": str(selenium()), "SE_AVOID_STATS": "true"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    found["page"] = page.as_uri()
    return found


def selenium() -> Path:
    """Installed once beside this environment's packages, which it does not touch."""
    folder = Path(sys.prefix) / f"selenium-{SELENIUM}"
    with Path(f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", f"{folder}.new"]
            subprocess.run([*pip, f"selenium=={SELENIUM}"], check=True)
            Path(f"{folder}.new").rename(folder)
    return folder


LOOKS = ("light", "dark", "phone", "print")


def test_no_request_leaves_the_page(seen: dict[str, Any]) -> None:
    assert seen["requests"] == [seen["page"]]


def test_the_browser_has_nothing_to_complain_of(seen: dict[str, Any]) -> None:
    assert seen["console"] == []
    assert "Content Security Policy" in str(seen["console then"])


def test_a_phone_does_not_scroll_sideways(seen: dict[str, Any]) -> None:
    assert seen["phone"]["width"] == 360
    assert seen["width with tables"] == 360


def test_light_and_dark_differ_and_paper_is_light(seen: dict[str, Any]) -> None:
    pairs = {name: (seen[name]["background"], seen[name]["ink"]) for name in LOOKS}
    assert pairs["light"] != pairs["dark"]
    assert pairs["light"] == pairs["phone"]
    assert pairs["print"][1] == pairs["light"][1]
    assert seen["light"]["picture"] != seen["dark"]["picture"]


def test_paper_has_the_pictures_alone(seen: dict[str, Any]) -> None:
    assert not seen["print"]["nav"]
    assert not any(seen["print"]["tables"])
    assert all(seen["light"]["tables"])
    pdf = base64.b64decode(seen["pdf"])
    assert pdf.startswith(b"%PDF")
    assert 3 <= pdf.count(b"/Type /Page\n") <= 14


def test_a_keyboard_is_enough(seen: dict[str, Any]) -> None:
    assert seen["first stop"] == "Skip to the figures"
    assert seen["open"]


@pytest.mark.parametrize("name", LOOKS)
def test_words_in_pictures_are_whole_and_apart(name: str, seen: dict[str, Any]) -> None:
    width = {"light": 1280, "dark": 1280, "phone": 360, "print": 720}[name]
    assert len(seen[name]["drawings"]) > 15
    for drawing in seen[name]["drawings"]:
        for n, (said, left, top, right, bottom, size) in enumerate(drawing["texts"]):
            where = f"{drawing['title']}: {said}"
            assert left >= 0, where
            assert right <= width, where
            assert (9 if name != "print" else 7) <= size <= 16, where
            for other, *rect in drawing["texts"][:n]:
                across = min(right, rect[2]) - max(left, rect[0])
                down = min(bottom, rect[3]) - max(top, rect[1])
                assert across <= 2 or down <= 4, f"{where} lies on {other}"
