"""Fixtures: Chromium, and the dashboard served from a thread."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from driving import HANGS, Watched, served, watched
from playwright.sync_api import Browser, Error, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--process-per-site"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    expect.set_options(timeout=HANGS)
    with sync_playwright() as playwright:
        try:
            launched = playwright.chromium.launch(executable_path=found, args=FLAGS)
        except Error as error:
            pytest.skip(f"no Chromium to drive: {str(error).splitlines()[0]}")
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def full_url(three_methods: Path) -> Iterator[str]:
    with served(three_methods) as url:
        yield url


@pytest.fixture(scope="session")
def sparse_url(one_method: Path) -> Iterator[str]:
    with served(one_method) as url:
        yield url


@pytest.fixture
def full(browser: Browser, full_url: str) -> Iterator[Watched]:
    with watched(browser, full_url) as seen:
        yield seen


@pytest.fixture
def sparse(browser: Browser, sparse_url: str) -> Iterator[Watched]:
    with watched(browser, sparse_url) as seen:
        yield seen


@pytest.fixture
def phone(browser: Browser, full_url: str) -> Iterator[Watched]:
    with watched(browser, full_url, 390, 844) as seen:
        yield seen
