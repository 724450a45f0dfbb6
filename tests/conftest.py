"""Fixtures that several tests share."""

import os
import shutil

import pytest


@pytest.fixture(scope="session")
def chromium():
    """An installed Chromium under Playwright. Skips where there is none, but fails on CI, which must have one."""
    missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is not installed: pip install -e .[test]")
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        missing("no Chromium or Chrome on the PATH: the pages are not looked at")
    quiet = ["background-networking", "component-update", "sync"]
    options = ["--no-sandbox", "--disable-gpu", "--no-first-run", *(f"--disable-{name}" for name in quiet)]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=options)
        yield browser
        browser.close()
