import typing

import msgspec
import pytest

from lakehouse import settings
from lakehouse.errors import InvalidInput


def test_load_nothing_set_gives_defaults(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = settings.load(environ={})
    assert (config.server.host, config.server.port, config.data) == ("127.0.0.1", 3110, "./lake")
    assert (config.matrix.boost_within, config.matrix.inject_within) == (0.5, 0.20)


def test_load_precedence_is_file_environment_arguments(tmp_path):
    file = tmp_path / "lakehouse.toml"
    file.write_text('[server]\nport = 1\nhost = "a"\ntoken_env = "T"\n')
    config = settings.load(
        file,
        environ={"LAKEHOUSE_SERVER__PORT": "2", "LAKEHOUSE_SERVER__HOST": "b"},
        overrides={"server": {"port": 3}},
    )
    assert (config.server.port, config.server.host, config.server.token_env) == (3, "b", "T")


def test_load_data_folder_from_environment():
    assert settings.load(environ={"LAKEHOUSE_DATA": "/somewhere"}).data == "/somewhere"


def test_load_list_setting_from_environment_is_split():
    config = settings.load(environ={"LAKEHOUSE_MODELS__WEAK_MODELS": "a,b"})
    assert config.models.weak_models == ("a", "b")


def test_load_every_list_and_table_can_come_from_the_environment():
    environ, wanted = {}, {}
    for section in msgspec.structs.fields(settings.Settings):
        for field in msgspec.structs.fields(section.type) if section.name != "data" else ():
            kind = typing.get_origin(field.type)
            if kind in {tuple, dict}:
                environ[f"LAKEHOUSE_{section.name}__{field.name}".upper()] = "a,b" if kind is tuple else "{}"
                wanted[section.name, field.name] = ("a", "b") if kind is tuple else {}
    config = settings.load(environ=environ)
    assert {key: getattr(getattr(config, key[0]), key[1]) for key in wanted} == wanted
    assert {("vectors", "laid_by"), ("chat", "providers")} <= wanted.keys()


def test_load_table_setting_from_environment_is_json():
    config = settings.load(environ={"LAKEHOUSE_CHAT__FALLBACKS": '{"big": ["small"]}'})
    assert config.chat.fallbacks == {"big": ("small",)}
    with pytest.raises(InvalidInput, match="LAKEHOUSE_CHAT__FALLBACKS is not JSON"):
        settings.load(environ={"LAKEHOUSE_CHAT__FALLBACKS": "big=small"})


@pytest.mark.parametrize(
    ("file", "environ", "model"),
    [
        ('[models]\nembed = "one"\n', {}, "one"),
        ('[embed]\nmodel = "one"\n', {"LAKEHOUSE_MODELS__EMBED": "two"}, "two"),
        ('[models]\nembed = "one"\n', {"LAKEHOUSE_EMBED__MODEL": "two"}, "two"),
        ('[models]\nembed = "one"\n[embed]\nmodel = "two"\n', {}, "two"),
    ],
)
def test_load_embedding_model_is_that_of_the_models(tmp_path, file, environ, model):
    (tmp_path / "lakehouse.toml").write_text(file)
    assert settings.load(tmp_path / "lakehouse.toml", environ=environ).embed.model == model


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"LAKEHOUSE_SERVER__PRT": "1"}, "prt"),
        ({"LAKEHOUSE_SERVR__PORT": "1"}, "servr"),
        ({"LAKEHOUSE_SERVER__PORT": "many"}, "$.server.port"),
    ],
)
def test_load_bad_environment_names_it(environ, named):
    with pytest.raises(InvalidInput, match="the environment") as caught:
        settings.load(environ=environ)
    assert named in caught.value.message


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("matrix", "holdout", 1.5),
        ("matrix", "holdout", -0.1),
        ("matrix", "boost_within", 2.1),
        ("matrix", "inject_within", -1),
        ("matrix", "half_life_days", -1),
        ("matrix", "near_km", -1),
        ("matrix", "good_rating", 6),
        ("matrix", "max_k", 10_001),
        ("learn", "near_duplicate", 1.1),
        ("learn", "validation_share", 0.6),
        ("validatord", "near_km", -1),
    ],
)
def test_load_value_out_of_its_bounds_names_it(section, key, value):
    with pytest.raises(InvalidInput, match="setting refused") as caught:
        settings.load(environ={f"LAKEHOUSE_{section.upper()}__{key.upper()}": str(value)})
    assert f"$.{section}.{key}" in caught.value.message


def numbers():
    """Yield section and key of every number but `server.port`, which is looked at where it is listened on."""
    defaults = settings.Settings()
    for section in defaults.__struct_fields__:
        held = getattr(defaults, section)
        for key in getattr(held, "__struct_fields__", ()):
            if type(getattr(held, key)) in (int, float) and (section, key) != ("server", "port"):
                yield section, key


@pytest.mark.parametrize(("section", "key"), [*numbers()])
def test_load_no_number_is_below_zero(section, key):
    with pytest.raises(InvalidInput, match=rf"\$\.{section}\.{key}"):
        settings.load(environ={}, overrides={section: {key: -1}})


@pytest.mark.parametrize("key", ["timeout_ms", "memory_limit_bytes", "max_rows", "threads"])
def test_load_zero_of_what_nothing_works_without_is_refused(key):
    with pytest.raises(InvalidInput, match=rf">= 1 - at `\$\.query\.{key}`"):
        settings.load(environ={f"LAKEHOUSE_QUERY__{key.upper()}": "0"})


def test_load_named_file_missing_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="does not exist"):
        settings.load(tmp_path / "none.toml", environ={})


def test_load_broken_toml_names_the_file(tmp_path):
    file = tmp_path / "lakehouse.toml"
    file.write_text("[server\n")
    with pytest.raises(InvalidInput, match=r"lakehouse\.toml is not valid TOML"):
        settings.load(file, environ={})


def test_load_unknown_key_in_file_names_file_and_key(tmp_path):
    file = tmp_path / "lakehouse.toml"
    file.write_text("[server]\nprot = 3\n")
    with pytest.raises(InvalidInput, match=r"lakehouse\.toml.*prot"):
        settings.load(file, environ={})


def test_settings_are_frozen():
    with pytest.raises(AttributeError):
        settings.load(environ={}).server.port = 1
