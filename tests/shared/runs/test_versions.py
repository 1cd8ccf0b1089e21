"""A run that another version of the program trained says so."""

import pytest

from shared.runs import versions

HERE = {"onedecoder": "0.1.0", "torch": "2.13.0", "transformers": "5.23.0"}


@pytest.fixture(autouse=True)
def here(monkeypatch):
    monkeypatch.setattr(versions, "versions", lambda: HERE)
    versions._say.cache_clear()


def test_the_versions_here_are_numbers_without_the_kind_of_build(monkeypatch):
    monkeypatch.undo()
    assert versions.versions().keys() == HERE.keys()
    assert all("+" not in number for number in versions.versions().values())


def told(settings, capsys):
    versions.tell_other_versions("outputs/en-de", settings)
    versions.tell_other_versions("outputs/en-de", settings)
    return capsys.readouterr().err


def test_nothing_is_said_of_the_same_version(capsys):
    assert told({"versions": HERE}, capsys) == ""


def test_other_versions_are_named_once(capsys):
    trained = {"onedecoder": "0.0.9", "torch": "2.13.0"}
    assert told({"versions": trained}, capsys) == (
        "outputs/en-de was trained with onedecoder 0.0.9, transformers unknown; here: onedecoder 0.1.0, transformers "
        "5.23.0\n"
    )


@pytest.mark.parametrize("settings", [{}, {"versions": None}, {"versions": [1]}], ids=str)
def test_a_run_that_left_no_versions_is_named(settings, capsys):
    line = told(settings, capsys)
    assert line.startswith("outputs/en-de was trained by an earlier version of this program") and line.count("\n") == 1


def test_one_of_several_processes_says_it(monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    assert told({}, capsys) == ""
