"""How settings are found, and what wrong ones say."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.errors import UsageError
from collector.settings import Settings
from collector.settings.environment import known_settings, load


def refused(config: Path | None = None) -> str:
    """The one line that says what is wrong."""
    with pytest.raises(UsageError) as caught:
        load(config=config)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_every_setting_has_a_default_and_a_description() -> None:
    """The program starts with no settings at all, and documents all it has."""
    assert load()
    for info in known_settings():
        assert len(info.description) > 10, info.name
        assert info.description.endswith("."), info.name


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each source overrides the weaker ones, setting by setting."""
    file = tmp_path / "mirrorproof.toml"
    file.write_text('[kafka]\ngroup = "file"\ntopics = "file"\ninitial_offset = "latest"\n')
    monkeypatch.setenv("MIRRORPROOF_CONFIG", str(file))
    monkeypatch.setenv("MIRRORPROOF_KAFKA__GROUP", "environment")
    monkeypatch.setenv("MIRRORPROOF_KAFKA__TOPICS", "environment, other")

    kafka = load({"kafka": {"group": "command line", "topics": None}}).kafka

    assert kafka.group == "command line"
    assert kafka.topics == ("environment", "other")
    assert kafka.initial_offset == "latest"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("KAFKA__GRUOP", "x", "did you mean MIRRORPROOF_KAFKA__GROUP?"),
        ("NONSENSE", "x", "MIRRORPROOF_NONSENSE is no setting"),
        ("KAFKA__BATCH_RECORDS", "many", "setting kafka.batch_records: "),
        ("KAFKA__BATCH_RECORDS", "0", "setting kafka.batch_records: "),
        ("KAFKA__PARTITIONS", "3-1", "setting kafka.partitions: '3-1' goes backwards"),
        ("KAFKA__PARTITIONS", "all", "no list of partitions like 0-3,7"),
        ("KAFKA__SASL_MECHANISM", "PLAIN", "sasl_mechanism and security_protocol"),
        ("KAFKA__CA_FILE", "ca.pem", "need security_protocol SSL"),
        ("KAFKA__CERT_FILE", "c.pem", "cert_file and key_file need each other"),
        ("KAFKA__BOOTSTRAP_SERVERS", "", "setting kafka.bootstrap_servers: names no broker"),
        ("KAFKA__BOOTSTRAP_SERVERS", "kafka", "kafka.bootstrap_servers: 'kafka' is not HOST:PORT"),
        ("KAFKA__BOOTSTRAP_SERVERS", "a:1,kafka://b:1", "'kafka://b:1' is not HOST:PORT"),
        ("KAFKA__BOOTSTRAP_SERVERS", "kafka:0", "'kafka:0' is not HOST:PORT"),
        ("KAFKA__BOOTSTRAP_SERVERS", "kafka:65536", "'kafka:65536' is not HOST:PORT"),
        ("KAFKA__TOPICS", " , ", "setting kafka.topics: names no topic"),
        ("DATABASE__URL", "", "setting database.url: is empty"),
        ("DATABASE__URL_FILE", "", "setting database.url_file: is empty"),
        ("LOG__LEVEL", "loud", "setting log.level: "),
    ],
)
def test_a_wrong_variable_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    """One line names the setting and what is wrong with it."""
    monkeypatch.setenv(f"MIRRORPROOF_{variable}", value)

    assert said in refused()


def test_an_unknown_name_in_the_file_is_refused(tmp_path: Path) -> None:
    """A misspelt name in a file does not pass in silence."""
    file = tmp_path / "mirrorproof.toml"
    file.write_text('[kafka]\ntopic = "x"\n')

    assert "did you mean kafka.topics?" in refused(file)


@pytest.mark.parametrize("text", ["[kafka", "kafka = 1"])
def test_a_broken_file_is_refused(tmp_path: Path, text: str) -> None:
    """So is a file that is no TOML, or has another shape."""
    file = tmp_path / "mirrorproof.toml"
    file.write_text(text)

    assert refused(file)
    assert "No such file" in refused(tmp_path / "none.toml")


def test_variables_of_the_tests_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """MIRRORPROOF_TEST_… names servers for tests."""
    monkeypatch.setenv("MIRRORPROOF_TEST_ANYTHING", "x")

    assert load()


@pytest.mark.parametrize(
    ("text", "numbers"), [("0", (0,)), ("0-3,7", (0, 1, 2, 3, 7)), (" 2 , 1-2", (1, 2))]
)
def test_partitions_are_lists_and_ranges(
    monkeypatch: pytest.MonkeyPatch, text: str, numbers: tuple[int, ...]
) -> None:
    """Sorted, each once."""
    monkeypatch.setenv("MIRRORPROOF_KAFKA__PARTITIONS", text)

    assert load().kafka.partitions == numbers


def test_secrets_are_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by the settings nor by an error about them."""
    monkeypatch.setenv("MIRRORPROOF_DATABASE__URL", "postgresql://me:hunter2@db/x")
    monkeypatch.setenv("MIRRORPROOF_KAFKA__PASSWORD", "hunter2")

    assert "hunter2" not in repr(load())
    monkeypatch.setenv("MIRRORPROOF_DATABASE__URL_FILE", "x")
    assert "hunter2" not in refused()


def test_secrets_come_from_files(tmp_path: Path) -> None:
    """A trailing newline is not part of the secret; a missing file is named."""
    file = tmp_path / "url"
    file.write_text("sqlite:///x.db\n")

    def settings(path: Path) -> Settings:
        return load({"database": {"url_file": path}})

    assert settings(file).database.address() == "sqlite:///x.db"
    with pytest.raises(UsageError, match=r"database.url_file: cannot read .*none"):
        settings(tmp_path / "none").database.address()


def test_an_empty_file_is_no_database_url(tmp_path: Path) -> None:
    """A secret that was never filled in does not mean the default database."""
    file = tmp_path / "url"
    file.write_text("\n")

    with pytest.raises(UsageError, match=r"database.url_file: .*url is empty"):
        load({"database": {"url_file": file}}).database.address()


def test_brokers_may_be_names_and_addresses() -> None:
    """Also of IPv6."""
    brokers = ("kafka:9092", "10.0.0.1:1", "[::1]:65535")

    assert load({"kafka": {"bootstrap_servers": ", ".join(brokers)}}).kafka == (
        Settings().kafka.model_copy(update={"bootstrap_servers": brokers})
    )


def test_the_default_database_is_a_file_here() -> None:
    """Nothing needs to be installed for a first try."""
    assert load().database.address() == "sqlite:///mirrorproof.db"
