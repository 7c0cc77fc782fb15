"""Which providers there are, and which one a model's name means."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lakehouse import settings
from lakehouse.chat._ollama import OllamaChat
from lakehouse.chat._openai import ChatCompletions
from lakehouse.chat.base import Dialect, MissingProvider, ProviderInfo, ProviderList
from lakehouse.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from lakehouse.settings import ChatProvider

_CLOUD = ":cloud"
_CLOUD_PROVIDER = "ollama_cloud"


class Provider:
    """One registered provider. Its key shows nowhere but in the header of a request."""

    def __init__(self, name: str, config: ChatProvider, *, key: str, personal: bool) -> None:
        self.name = name
        self.config = config
        self.prefix = config.prefix or f"{name}/"
        self.local = is_local(config.base_url)
        self.personal = self.local or personal
        self.dialect = _dialect(config)
        self.url = config.base_url.rstrip("/") + self.dialect.path
        self._key = key

    def headers(self) -> dict[str, str]:
        """Return the headers of a request."""
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        headers["Host"] = urlsplit(self.url).netloc
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        return headers

    def redacted(self, text: str) -> str:
        """Return a text without the key, which some providers repeat in their errors."""
        return text.replace(self._key, "***") if self._key else text


class Registry:
    """The providers of a configuration, with the keys of an environment.

    Args:
        config: The settings section.
        environ: Where keys are looked for first; then in `config.env_file`.

    Raises:
        InvalidInput: A provider's URL is wrong, would send a key in the clear, or two share a prefix; or the file of
            keys is named and missing.
    """

    def __init__(self, config: settings.Chat, environ: Mapping[str, str]) -> None:
        self._default = config.default_provider
        self._providers: dict[str, Provider] = {}
        self._missing: dict[str, str] = {}
        kept = _env_file(config.env_file)
        for name, provider in sorted({**_built_in(config), **config.providers}.items()):
            key = environ.get(provider.key_env) or kept.get(provider.key_env, "") if provider.key_env else ""
            if provider.key_env and not key:
                self._missing[name] = f"no key: set {provider.key_env}, or name a file with it in chat.env_file"
                continue
            _check_url(name, provider.base_url, with_key=bool(key))
            self._providers[name] = Provider(name, provider, key=key, personal=name in config.personal_providers)
        self._by_prefix = _prefixes({**_built_in(config), **config.providers})

    def resolve(self, model: str) -> tuple[Provider, str]:
        """Return the provider that a model's name means, and the name that it knows the model by.

        Raises:
            NotFound: That provider is not registered; another one is never asked instead.
            InvalidInput: Nothing is left of the name behind the prefix.
        """
        prefix = max((prefix for prefix in self._by_prefix if model.startswith(prefix)), key=len, default="")
        if prefix:
            name, known_as = self._by_prefix[prefix], model[len(prefix) :]
        elif model.endswith(_CLOUD):
            name, known_as = _CLOUD_PROVIDER, model
        else:
            name, known_as = self._default, model
        if name == _CLOUD_PROVIDER:
            # The ending says where a model runs, to us; whoever runs it knows it without, by either way of asking.
            known_as = known_as.removesuffix(_CLOUD)
        if not known_as:
            raise InvalidInput(f"model {model!r} names a provider and no model", field="model")
        provider = self._providers.get(name)
        if provider is None:
            reason = self._missing.get(name, "no such provider is configured")
            raise NotFound(f"provider {name!r} of the model {model!r} is not registered: {reason}", provider=name)
        return provider, known_as

    def providers(self) -> list[Provider]:
        """Return the registered ones, by name."""
        return list(self._providers.values())

    def listed(self) -> ProviderList:
        """Describe what is registered, and what is not."""
        return ProviderList(
            [
                ProviderInfo(
                    name=provider.name,
                    prefix=provider.prefix,
                    url=without_credentials(provider.config.base_url),
                    local=provider.local,
                    personal=provider.personal,
                    default=provider.name == self._default,
                )
                for provider in self._providers.values()
            ],
            [MissingProvider(name, reason) for name, reason in self._missing.items()],
        )


def _built_in(config: settings.Chat) -> dict[str, ChatProvider]:
    provider = settings.ChatProvider
    return {
        "ollama": provider(config.ollama_url, protocol="ollama"),
        _CLOUD_PROVIDER: provider("https://ollama.com", "OLLAMA_API_KEY", protocol="ollama"),
        "openrouter": provider("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", thinking="reasoning"),
        "opencode": provider("https://opencode.ai/zen/v1", "OPENCODE_API_KEY"),
        "kimi": provider("https://api.kimi.com/coding/v1", "KIMI_API_KEY"),
    }


def _dialect(config: ChatProvider) -> Dialect:
    if config.protocol == "ollama":
        return OllamaChat()
    return ChatCompletions(thinking=config.thinking, schemas=config.schemas)


def _prefixes(providers: Mapping[str, ChatProvider]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, provider in providers.items():
        prefix = provider.prefix or f"{name}/"
        if prefix in found:
            raise InvalidInput(f"providers {found[prefix]!r} and {name!r} have the prefix {prefix!r}", field="chat")
        found[prefix] = name
    return found


def _check_url(name: str, url: str, *, with_key: bool) -> None:
    parts = urlsplit(url)
    where = f"chat.providers.{name}.base_url"
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InvalidInput(f"{where}: {without_credentials(url)!r} is not an http or https URL", field=where)
    if with_key and parts.scheme == "http" and not is_local(url):
        raise InvalidInput(f"{where}: a key would go to {parts.hostname} in the clear; use https", field=where)


def is_local(url: str) -> bool:
    """Tell whether a URL means this machine, by its own words: no name is looked up."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def without_credentials(url: str) -> str:
    """Return a URL without user name and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


def _env_file(path: str) -> dict[str, str]:
    if not path:
        return {}
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise InvalidInput(f"chat.env_file: cannot read {path}", field="chat.env_file", path=path) from None
    found = {}
    for line in text.splitlines():
        name, given, value = line.strip().removeprefix("export ").partition("=")
        if given and not name.startswith("#"):
            found[name.strip()] = value.strip().strip("'\"")
    return found
