"""Providers to talk to: one that can be told to misbehave, and a real model."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lakehouse import settings
from lakehouse.chat.service import Chat
from lakehouse.evals.fake_provider import FakeProvider

KEY = "sk-unit-0123456789"


@pytest.fixture
def fake():
    with FakeProvider() as provider:
        yield provider


@pytest.fixture
def make_chat(tmp_path):
    """Make chats over one server, as `fake/` with a key and as Ollama; no wait between tries takes time."""
    made = []

    def make(url: str, **config: object) -> Chat:
        providers = {"fake": settings.ChatProvider(url, key_env="FAKE_KEY"), **config.pop("providers", {})}
        section = settings.Chat(ollama_url=url, providers=providers, **config)
        made.append(Chat(section, tmp_path, environ={"FAKE_KEY": KEY}, sleep=lambda _: None, jitter=lambda: 1.0))
        return made[-1]

    yield make
    for chat in made:
        chat.close()


@pytest.fixture(scope="session")
def real_model():
    """Give the URL of a real model: that of $LAKEHOUSE_TEST_CHAT_URL, else a small one started here."""
    named = os.environ.get("LAKEHOUSE_TEST_CHAT_URL")
    if named:
        yield named
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(Path(__file__).with_name("llama_server.py")), str(port)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, **pipes) as server:
        try:
            address = server.stdout.readline().strip()
            assert address, "the model server did not start"
            yield address + "/v1"
        finally:
            server.kill()
