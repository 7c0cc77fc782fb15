import contextlib
import threading
import time

import pytest

from chat.conftest import KEY
from lakehouse import settings
from lakehouse.chat.base import Message
from lakehouse.chat.budgets import Budgets
from lakehouse.chat.providers import Registry, is_local
from lakehouse.chat.service import Chat
from lakehouse.errors import (
    DeadlineExceeded,
    InvalidInput,
    LakehouseError,
    LimitExceeded,
    NotFound,
    PermissionDenied,
    Unavailable,
    Upstream,
    UpstreamRefused,
)

HELLO = [Message("user", "hello there")]


def _asked(chat, name, timeout, *, stream):
    if stream:
        return list(chat.stream(name, HELLO, timeout_ms=timeout))
    return chat.complete(name, HELLO, timeout_ms=timeout)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", ["fake/m", "m"], ids=["openai", "ollama"])
@pytest.mark.parametrize(
    ("manner", "error", "tries"),
    [
        ("429", LimitExceeded, 3),
        ("500", Upstream, 3),
        ("truncated", Upstream, 3),
        ("closed", Upstream, 3),
        ("400", UpstreamRefused, 1),
        ("404", UpstreamRefused, 1),
        ("garbage", Upstream, 1),
        ("no_choices", Upstream, 1),
        ("huge", Upstream, 1),
        ("not_utf8", Upstream, 1),
        ("slow", DeadlineExceeded, 1),
        ("drip", DeadlineExceeded, 1),
    ],
)
def test_chat_misbehaving_provider_is_tried_again_only_where_that_can_help(
    fake, make_chat, manner, error, tries, name, stream
):
    chat = make_chat(fake.url, max_answer_bytes=200_000)
    fake.manners.extend([manner] * 3)
    started = time.perf_counter()
    # Long enough that the request is surely sent on a busy machine, short enough to wait for.
    timeout = 1_000 if error is DeadlineExceeded else 20_000
    with pytest.raises(error) as caught:
        _asked(chat, name, timeout, stream=stream)
    assert len(fake.requests) == tries
    assert KEY not in str(caught.value.to_wire())
    assert time.perf_counter() - started < 20
    if manner == "429":
        assert caught.value.detail["upstream"] is True
    # Whatever happened, the next call is not harmed by it.
    fake.manners.clear()
    assert chat.complete(name, HELLO).content == "hello there"


@pytest.mark.parametrize("name", ["fake/m", "m"])
def test_chat_provider_that_recovers_is_answered(fake, make_chat, name):
    fake.manners.extend(["500", "closed"])
    assert make_chat(fake.url).complete(name, HELLO).content == "hello there"
    assert len(fake.requests) == 3


@pytest.mark.parametrize("name", ["fake/m", "m"])
def test_chat_stream_that_is_cut_raises_after_what_came(fake, make_chat, name):
    fake.manners.append("cut")
    events = make_chat(fake.url).stream(name, HELLO)
    assert next(events).content
    with pytest.raises(Upstream, match="ended before"):
        list(events)
    assert len(fake.requests) == 1


def test_chat_wait_that_does_not_fit_the_deadline_is_not_waited(fake, tmp_path):
    waits = []
    section = settings.Chat(ollama_url=fake.url, retries=9)
    chat = Chat(section, tmp_path, environ={}, sleep=waits.append, jitter=lambda: 1.0)
    fake.manners.extend(["500"] * 10)
    with pytest.raises(Upstream):
        chat.complete("m", HELLO, timeout_ms=3_000)
    chat.close()
    assert waits == [0.25, 0.5, 1.0, 2.0]


def test_chat_nobody_there_is_upstream(make_chat):
    with pytest.raises(Upstream, match="cannot be reached"):
        make_chat("http://127.0.0.1:9").complete("m", HELLO)


def test_chat_fallback_answers_when_the_model_fails(fake, make_chat):
    chat = make_chat(fake.url, fallbacks={"fake/a": ("ollama/b",)}, retries=0)
    fake.manners.append("500")
    answer = chat.complete("fake/a", HELLO)
    assert (answer.provider, answer.model) == ("ollama", "b")


def test_chat_fallback_that_may_not_see_personal_data_is_left_out(fake, make_chat):
    far = settings.ChatProvider("https://models.example", key_env="FAKE_KEY")
    chat = make_chat(fake.url, providers={"far": far}, fallbacks={"m": ("far/b",)}, retries=0)
    fake.manners.append("500")
    with pytest.raises(Upstream, match="ollama answered 500"):
        chat.complete("m", HELLO, data_class="personal")


def test_chat_request_is_as_each_protocol_has_it(fake, make_chat):
    chat = make_chat(fake.url)
    chat.complete("fake/vendor/m", HELLO, max_tokens=7, temperature=0.5, format="json")
    chat.complete("ollama/m:7b", HELLO, max_tokens=7, format="json")
    (path, headers, body), (ollama_path, ollama_headers, ollama_body) = fake.requests
    assert (path, headers["Authorization"]) == ("/chat/completions", f"Bearer {KEY}")
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("vendor/m", 7, 0.5)
    assert body["response_format"] == {"type": "json_object"}
    assert (ollama_path, "Authorization" in ollama_headers) == ("/api/chat", False)
    assert (ollama_body["model"], ollama_body["think"], ollama_body["format"]) == ("m:7b", False, "json")
    assert ollama_body["options"] == {"num_predict": 7}


@pytest.mark.parametrize("thinking", ["reasoning", "template"])
def test_chat_thinking_is_off_unless_asked_for(fake, make_chat, thinking):
    chat = make_chat(fake.url, providers={"loud": settings.ChatProvider(fake.url, thinking=thinking)})
    for think in (False, True):
        chat.complete("loud/m", HELLO, think=think)
        body = fake.requests[-1][2]
        told = body.get("reasoning", {}).get("enabled", body.get("chat_template_kwargs", {}).get("enable_thinking"))
        assert told is think


def test_chat_provider_without_schemas_is_asked_for_json(fake, make_chat):
    from lakehouse.chat.base import SchemaFormat

    chat = make_chat(fake.url, providers={"plain": settings.ChatProvider(fake.url, schemas=False)})
    chat.complete("plain/m", HELLO, format=SchemaFormat({"type": "object"}))
    assert fake.requests[-1][2]["response_format"] == {"type": "json_object"}


KEYS = dict.fromkeys(("OLLAMA_API_KEY", "OPENROUTER_API_KEY", "OPENCODE_API_KEY", "KIMI_API_KEY"), "k")


@pytest.mark.parametrize(
    ("model", "provider", "known_as"),
    [
        ("llama3", "ollama", "llama3"),
        ("ollama/llama3:8b", "ollama", "llama3:8b"),
        ("hf.co/somebody/model", "ollama", "hf.co/somebody/model"),
        ("ollama_cloud/deepseek-v3.2", "ollama_cloud", "deepseek-v3.2"),
        ("kimi-k2.6:cloud", "ollama_cloud", "kimi-k2.6"),
        ("ollama_cloud/kimi-k2.6:cloud", "ollama_cloud", "kimi-k2.6"),
        ("ollama/kimi-k2.6:cloud", "ollama", "kimi-k2.6:cloud"),
        ("openrouter/moonshotai/kimi-k2", "openrouter", "moonshotai/kimi-k2"),
        ("opencode/claude", "opencode", "claude"),
        ("kimi/k2", "kimi", "k2"),
        ("mine:x", "own", "x"),
    ],
)
def test_registry_model_name_means_one_provider(model, provider, known_as):
    own = settings.ChatProvider("http://127.0.0.1:1", prefix="mine:")
    registry = Registry(settings.Chat(providers={"own": own}), KEYS)
    found, name = registry.resolve(model)
    assert (found.name, name) == (provider, known_as)


@pytest.mark.parametrize("model", ["ollama_cloud/m", "m:cloud", "openrouter/v/m", "opencode/m", "kimi/m"])
def test_registry_provider_without_key_is_not_found_and_nobody_else_is_asked(model):
    registry = Registry(settings.Chat(), {})
    with pytest.raises(NotFound, match="not registered: no key"):
        registry.resolve(model)
    assert [provider.name for provider in registry.providers()] == ["ollama"]


def test_registry_key_comes_from_the_named_file_when_the_environment_lacks_it(tmp_path):
    file = tmp_path / "keys.env"
    file.write_text("# keys\nexport KIMI_API_KEY='from file'\nOPENCODE_API_KEY=file\n")
    registry = Registry(settings.Chat(env_file=str(file)), {"OPENCODE_API_KEY": "environment"})
    headers = {provider.name: provider.headers().get("Authorization") for provider in registry.providers()}
    assert headers == {"kimi": "Bearer from file", "ollama": None, "opencode": "Bearer environment"}
    assert "from file" not in repr(registry.providers()) + str(registry.listed())


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"providers": {"x": settings.ChatProvider("ftp://models")}}, "not an http"),
        ({"providers": {"x": settings.ChatProvider("http://models.example", key_env="K")}}, "in the clear"),
        ({"providers": {"x": settings.ChatProvider("http://127.0.0.1:1", prefix="kimi/")}}, "prefix"),
        ({"env_file": "/nowhere/keys.env"}, "env_file"),
    ],
)
def test_registry_wrong_configuration_is_refused(config, says):
    with pytest.raises(InvalidInput, match=says):
        Registry(settings.Chat(**config), {"K": "secret"})


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:11434", True),
        ("http://localhost:1", True),
        ("http://[::1]:1", True),
        ("http://127.0.0.1.example.com", False),
        ("http://localhost.example.com", False),
        ("http://user@10.0.0.1", False),
        ("http://127.0.0.1@evil.example", False),
    ],
)
def test_registry_local_is_this_machine_only(url, local):
    assert is_local(url) is local


def test_chat_personal_data_goes_to_this_machine_and_named_providers_only(fake, make_chat):
    far = settings.ChatProvider("https://models.example", key_env="FAKE_KEY")
    chat = make_chat(fake.url, providers={"far": far})
    assert chat.complete("m", HELLO, data_class="personal").content
    with pytest.raises(PermissionDenied, match="far"):
        chat.complete("far/m", HELLO, data_class="personal")
    with pytest.raises(PermissionDenied):
        chat.stream("far/m", HELLO, data_class="personal")
    assert len(fake.requests) == 1
    allowed = make_chat(fake.url, providers={"far": far}, personal_providers=("far",))
    assert {info.name: info.personal for info in allowed.providers().providers}["far"]


def test_chat_budget_of_requests_is_kept_per_namespace(fake, make_chat):
    budgets = {"*": settings.ChatBudget(requests=2), "free": settings.ChatBudget()}
    chat = make_chat(fake.url, budgets=budgets)
    for namespace in ("ann", "bob", "ann", "bob", "free", "free", "free"):
        chat.complete("m", HELLO, namespace=namespace)
    with pytest.raises(LimitExceeded, match="'ann' has used its budget of 2 requests") as caught:
        chat.complete("m", HELLO, namespace="ann")
    assert 0 < caught.value.detail["retry_after_s"] <= 3_600
    assert "upstream" not in caught.value.detail
    assert len(fake.requests) == 7


def test_chat_budget_of_tokens_counts_what_was_used(fake, make_chat):
    chat = make_chat(fake.url, budgets={"*": settings.ChatBudget(tokens=20)}, retries=0)
    fake.manners.append("500")
    with pytest.raises(Upstream):
        chat.complete("m", HELLO, max_tokens=10)
    chat.complete("m", HELLO, max_tokens=10)
    list(chat.stream("m", HELLO, max_tokens=10))
    with pytest.raises(LimitExceeded, match="12 left, this request may take 14"):
        chat.complete("m", [Message("user", "four bytes a tok")], max_tokens=10)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", ["fake/m", "m"], ids=["openai", "ollama"])
def test_chat_budget_holds_where_the_provider_does_not_count(fake, make_chat, name, stream):
    fake.counts = False
    chat = make_chat(fake.url, budgets={"*": settings.ChatBudget(tokens=30)})
    text = [Message("user", "x" * 40)]
    for _ in range(2):
        if stream:
            list(chat.stream(name, text))
        else:
            assert chat.complete(name, text).prompt_tokens == 0
    with pytest.raises(LimitExceeded, match="tokens"):
        chat.complete(name, text)


def test_chat_budget_is_one_for_all_who_share_its_folder(fake, tmp_path):
    section = settings.Chat(ollama_url=fake.url, budgets={"*": settings.ChatBudget(requests=40)})
    chats = [Chat(section, tmp_path, environ={}) for _ in range(4)]
    refused = []

    def work(chat):
        for _ in range(15):
            try:
                chat.complete("m", HELLO)
            except LimitExceeded:
                refused.append(chat)

    threads = [threading.Thread(target=work, args=(chat,)) for chat in chats]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for chat in chats:
        chat.close()
    assert (len(fake.requests), len(refused)) == (40, 20)
    # Nor does a new start begin anew.
    with pytest.raises(LimitExceeded):
        Chat(section, tmp_path, environ={}).complete("m", HELLO)


def test_budget_begins_anew_with_its_window_and_a_late_settlement_is_of_the_old_one(tmp_path):
    now = [1_000.0]
    budgets = Budgets({"*": settings.ChatBudget(tokens=10, window_s=60)}, tmp_path, now=lambda: now[0])
    first = budgets.charge("ann", 10)
    with pytest.raises(LimitExceeded, match="begins anew in 60 s"):
        budgets.charge("ann", 1)
    now[0] += 60
    budgets.charge("ann", 8)
    first.settle(0)
    with pytest.raises(LimitExceeded, match="2 left"):
        budgets.charge("ann", 3)
    # A clock that is set back does not lock anybody out.
    now[0] -= 5_000
    assert budgets.charge("ann", 10) is not None


def test_budget_that_cannot_be_counted_lets_nothing_through(tmp_path):
    (tmp_path / "file").write_text("")
    budgets = Budgets({"*": settings.ChatBudget(requests=10)}, tmp_path / "file", now=lambda: 0.0)
    with pytest.raises(LakehouseError):
        budgets.charge("ann", 1)


def test_chat_calls_at_once_are_bounded(fake, make_chat):
    inside, most, lock = 0, 0, threading.Lock()

    def say(request):
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.02)
        with lock:
            inside -= 1
        return "done"

    fake.say = say
    chat = make_chat(fake.url, providers={"few": settings.ChatProvider(fake.url, at_once=2)})
    threads = [threading.Thread(target=chat.complete, args=("few/m", HELLO)) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 2


def test_chat_too_many_waiting_calls_are_refused(fake, make_chat):
    chat = make_chat(fake.url, providers={"one": settings.ChatProvider(fake.url, at_once=1)}, max_waiting=0)
    events = chat.stream("one/m", HELLO)
    next(events)
    with pytest.raises(LimitExceeded, match="run or wait"):
        chat.complete("one/m", HELLO)
    events.close()
    assert chat.complete("one/m", HELLO).content


def test_chat_stream_that_nobody_reads_lets_the_provider_go(fake, make_chat):
    budgets = {"*": settings.ChatBudget(tokens=60)}
    providers = {"one": settings.ChatProvider(fake.url, at_once=1)}
    chat = make_chat(fake.url, providers=providers, max_waiting=0, budgets=budgets)
    chat.stream("one/m", HELLO, max_tokens=40).close()
    assert chat.complete("one/m", HELLO, max_tokens=40).content == "hello there"


def test_chat_exchanges_are_recorded_and_replayed_without_a_provider(fake, make_chat, tmp_path):
    chat = make_chat(fake.url, record="tape.jsonl", retries=0)
    whole = chat.complete("fake/m", HELLO)
    events = list(chat.stream("fake/m", HELLO))
    fake.manners.append("500")
    with pytest.raises(Upstream):
        chat.complete("m", HELLO)
    chat.close()
    tape = (tmp_path / "tape.jsonl").read_text()
    assert KEY not in tape
    assert tape.count("\n") == 3
    replayed = make_chat(fake.url, replay="tape.jsonl", retries=0)
    before = len(fake.requests)
    assert replayed.complete("fake/m", HELLO).content == whole.content
    assert [event.content for event in replayed.stream("fake/m", HELLO)] == [event.content for event in events]
    with pytest.raises(Upstream, match="500"):
        replayed.complete("m", HELLO)
    with pytest.raises(Unavailable, match="holds no answer"):
        replayed.complete("m", [Message("user", "something else")])
    assert len(fake.requests) == before


def test_chat_replay_file_that_is_missing_or_broken_is_refused(make_chat, tmp_path):
    with pytest.raises(InvalidInput, match="there is no file"):
        make_chat("http://127.0.0.1:9", replay="none.jsonl").complete("m", HELLO)
    (tmp_path / "bad.jsonl").write_text("{}\n")
    with pytest.raises(InvalidInput, match="line 1"):
        make_chat("http://127.0.0.1:9", replay="bad.jsonl").complete("m", HELLO)


def test_chat_text_that_is_no_unicode_is_refused(fake, make_chat):
    with pytest.raises(InvalidInput, match="Unicode"):
        make_chat(fake.url).complete("m", [Message("user", "\ud800")])


def test_chat_many_threads_share_one_chat(fake, make_chat):
    chat = make_chat(fake.url)
    wrong = []

    def work(number):
        with contextlib.suppress(LimitExceeded):
            for at in range(5):
                text = f"say {number} {at}"
                if chat.complete("m", [Message("user", text)]).content != text:
                    wrong.append(text)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
