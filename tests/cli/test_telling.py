import ast
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

import segmint.cli
from segmint.cli import main
from segmint.cli.progress import JsonLines, Quiet, print_summary
from segmint.cli.telling import cell, say, say_json, terminal
from segmint.runs.summary import ClassSummary, RunSummary
from segmint.textfile import harmless

ATTACKS = [
    "\x1b[2J",
    "\x1b]8;;http://evil\x1b\\x",
    "\x9b31m",
    "\x07",
    "a\rb",
    "\u202eevil",
    "\ud800",
    "\x7f",
    "\x00",
]
MARKUP = ["[/]", "[bold]x", "[link=http://evil]x[/link]", "[/bold]", "\\[x]"]
ALLOWED = {"\n", "\t"}


def is_harmless(text: str) -> bool:
    return all(
        each in ALLOWED or not (ord(each) < 32 or 0x7F <= ord(each) < 0xA0) for each in text
    ) and not any(each in text for each in "\u202e\u2066\u200f\u2028\ud800")


@given(text=st.text(st.characters(codec=None)))
def test_what_is_harmless_stays_and_all_else_is_spelt_out(text):
    told = harmless(text)
    assert is_harmless(told)
    told.encode()
    if is_harmless(text) and text.isascii():
        assert told == text
    assert json.loads(harmless(json.dumps([text], ensure_ascii=False), as_json=True)) == [text]


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_said_is_a_command_to_the_terminal(attack, capsys):
    say(f"item {attack}")
    say(f"item {attack}", err=True)
    say_json({attack: [attack]})
    main.tell_error(f"cannot read {attack}")
    Quiet().noted(attack)
    JsonLines().noted(attack)
    told = capsys.readouterr()
    assert is_harmless(told.out)
    assert is_harmless(told.err)
    assert json.loads(told.out.splitlines()[1]) == {attack: [attack]}


@pytest.mark.parametrize("word", ATTACKS + MARKUP)
def test_words_in_tables_are_words(word):
    file = io.StringIO()
    table = Table("class", title=cell(word))
    table.add_row(cell(word))
    console = terminal(file=file, width=200)
    console.print(table)
    console.print(f"[bold]{cell(word)}[/]")
    assert is_harmless(file.getvalue())
    assert file.getvalue().count(harmless(word)) == 3


@pytest.mark.parametrize("word", ATTACKS + MARKUP)
def test_a_class_of_any_name_ends_a_run_with_a_table(word, capsys):
    known = ClassSummary(name=word, named=1, present=1, mean_area=0.5)
    print_summary(
        RunSummary(
            planned=1, done=1, failed=0, truncated_prompts=0, classes=(known,), seconds={},
            uncertain_fraction=0.1, agreement=None,
        ),
        title=word,
    )  # fmt: skip
    told = capsys.readouterr().out
    assert is_harmless(told)
    assert told.count(harmless(word)) == 2


def test_every_command_prints_by_these_functions():
    for path in Path(segmint.cli.__file__).parent.glob("*.py"):
        called = {
            ast.unparse(node.func)
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call)
        }
        if path.name != "telling.py":
            assert not called & {"typer.echo", "print", "Console"}, path.name


@pytest.mark.parametrize(
    "words",
    [
        ("verify", "x" * 5000),
        ("generate", "--classes", "boat", "--count", "1", "--out", "a/" + "b" * 5000),
        ("label", "p.png", "--classes", "c" * 5000 + ".txt", "--out", "r"),
        ("report", "x" * 5000, "--out", "y" * 5000),
        ("export", "r" * 5000, "--format", "voc", "--out", "x" * 5000),
        ("import", "r" * 5000, "x" * 5000 + ".json"),
        ("generate", "--recipe", "x" * 5000, "--out", "r"),
    ],
)
def test_names_longer_than_a_file_system_takes_are_told_in_a_line(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main.run(words)
    said = capsys.readouterr().err
    assert ended.value.code == 2, said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
