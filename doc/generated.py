# -*- test-case-name: tests.test_generated -*-
"""
The parts of the manual that are made of the program's own tables: commands and their options,
settings, kinds of errors.  Each function returns reStructuredText; C{directives.py} puts it
into the pages.
"""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Iterable, Iterator

from rvgahp import errors
from rvgahp.cli import GROUPS, makeParser
from rvgahp.clientwords import HELP
from rvgahp.commandparser import CommandParser
from rvgahp.settingrow import BOTH, CE, PROXY, Setting
from rvgahp.settingtable import TABLE

#: What is code within a sentence: what is quoted, options, paths, programs, commands, names with
#: an "@" or a "_".
_CODE = re.compile(
    r"(?<![\w`/.$@'-])('[a-z][^' ]+ [^']+'|--[a-z][\w-]*(?:=[A-Z]+)?"
    r"|(?:~|\$?[A-Z]+)?(?:/[\w.=-]+)+\w|twistd rvgahp-\w+|rvgahp-\w+"
    r"|rvgahp (?:COMMANDS)\b|\w+@[\w.-]*\w"
    r"|\w*_[\w.-]*\w)".replace(
        "COMMANDS", "|".join(name for _, names in GROUPS for name in names.split())
    )
)

#: A line of two columns.
_COLUMNS = re.compile(r"(\S.*?)(?:\s{2,}(\S.*))?")

#: What stands behind those options of the daemons that name no file.
_VALUES = {
    "broker-host": "HOST",
    "broker-port": "PORT",
    "connect-to": "HOST:PORT",
    "interface": "ADDRESS",
    "port": "PORT",
    "socket": "PATH",
}

_WHOSE = {PROXY: "proxy", CE: "CE", BOTH: "proxy and CE"}


def marked(text: str) -> str:
    """
    @return: a plain text, in which what is code is marked and nothing else is markup.
    """
    parts = _CODE.split(" ".join(text.split()))
    for number, part in enumerate(parts):
        code = part.strip("'")
        parts[number] = f"``{code}``" if number % 2 else re.sub(r"([\\*`|_])", r"\\\1", part)
    return "".join(parts)


def prose(text: str) -> str:
    """
    @return: the text of a help.  What is indented there becomes a list of definitions where
        it has two columns, else a literal block.
    """
    found = []
    for block in _blocks(text.splitlines()):
        if block[0].startswith(" "):
            found.append(_definitions(block) or _literal(block))
        else:
            found.append(marked(" ".join(block)))
    return "\n\n".join(found) + "\n"


def _blocks(lines: Iterable[str]) -> Iterator[list[str]]:
    """
    @return: paragraphs, and what is indented: all of it that has no other text between.
    """
    block: list[str] = []
    wasBlank = True
    for line in lines:
        isIndented = line.startswith(" ")
        if not line.strip():
            wasBlank = True
            continue
        continues = block and block[0].startswith(" ") == isIndented and not wasBlank
        if block and not continues:
            yield block
            block = []
        block.append(line)
        wasBlank = False
    if block:
        yield block


def _literal(lines: list[str]) -> str:
    margin = min(len(line) - len(line.lstrip()) for line in lines)
    return "::\n\n" + "\n".join(f"    {line[margin:]}" for line in lines)


def _definitions(lines: list[str]) -> str:
    """
    @return: a list of definitions; nothing if the lines are none.
    """
    margin = min(len(line) - len(line.lstrip()) for line in lines)
    rows: list[tuple[str, str]] = []
    for line in lines:
        text = line[margin:]
        if text.startswith(" ") and rows:
            rows[-1] = rows[-1][0], f"{rows[-1][1]} {text.strip()}".strip()
        elif rows and rows[-1][0].endswith(",") and not rows[-1][1]:
            rows[-1] = f"{rows[-1][0]} {text}", ""
        else:
            match = _COLUMNS.fullmatch(text)
            assert match is not None
            rows.append((match[1], match[2] or ""))
    if not all(meaning for _, meaning in rows) or any(term[0] in "$[{" for term, _ in rows):
        return ""
    return "\n\n".join(f"``{term}``\n    {marked(meaning)}" for term, meaning in rows)


def titled(title: str, underline: str) -> str:
    """
    @return: the title of a section.
    """
    return f"\n{title}\n{underline * len(title)}\n"


def commands() -> str:
    """
    @return: a section for each command of C{rvgahp}, in the order of its help.
    """
    below = _below(makeParser())
    return "\n".join(_command(below[name], "-~") for _, names in GROUPS for name in names.split())


def _below(parser: CommandParser) -> dict[str, CommandParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _command(parser: CommandParser, underlines: str) -> str:
    """
    @param underlines: for its title, and for those below it.
    """
    usage = parser.format_usage().removeprefix("usage: ").splitlines()
    parts = [
        titled(parser.prog, underlines[0]),
        prose(parser.description or ""),
        _literal([usage[0], *(f"    {line.strip()}" for line in usage[1:])]),
        f".. program:: {parser.prog}\n",
        *_options(parser),
        prose(parser.further) if parser.further else "",
    ]
    if parser.examples:
        parts.append("For example::\n\n" + "\n".join(f"    {one}" for one in parser.examples))
    if parser.page:
        parts.append(f"More in the manual: :doc:`/{parser.page}`.")
    parts += [_command(one, underlines[1:]) for one in _below(parser).values()]
    return "\n\n".join(part for part in parts if part)


def _options(parser: CommandParser) -> Iterator[str]:
    formatter = parser._get_formatter()
    for action in sorted(parser._actions, key=lambda one: bool(one.option_strings)):
        if isinstance(action, argparse._HelpAction | argparse._SubParsersAction):
            continue
        value = str(action.metavar or "|".join(map(str, action.choices or ())))
        if action.nargs == "?" and action.option_strings:
            value = f"[{value}]"
        names = [f"{name} {value}".strip() for name in action.option_strings] or [value]
        yield f".. option:: {', '.join(names)}\n\n    {marked(formatter._expand_help(action))}\n"


def daemonOptions(daemon: str) -> str:
    """
    @param daemon: C{proxy} or C{ce}.
    @return: what stands behind C{twistd rvgahp-...}.
    """
    from rvgahp import cetap, proxytap

    rows = {"proxy": proxytap.Options.optParameters, "ce": cetap.Options.optParameters}[daemon]
    parts = [f".. program:: rvgahp-{daemon}\n"]
    for name, letter, _, text in rows:
        value = _VALUES.get(name, "FILE")
        names = f"--{name} {value}" if letter is None else f"-{letter} {value}, --{name} {value}"
        meaning, _, setting = text.rstrip("]").partition(" [")
        more = f"  In place of the setting :confval:`{setting}`." if setting else ""
        parts.append(f".. option:: {names}\n\n    {marked(meaning)}.{more}\n")
    return "\n".join(parts)


def clientUsage() -> str:
    """
    @return: how C{rvgahp_client} is called.
    """
    return _literal(HELP.partition("\n\n")[0].replace("Usage: ", "       ").splitlines())


def clientHelp() -> str:
    """
    @return: the rest of the help of C{rvgahp_client}.
    """
    return prose(HELP.partition("\n\n")[2].partition("manual: ")[0])


def blahpdHelp() -> str:
    """
    @return: the help of C{rvgahp_blahpd}.
    """
    from rvgahp.blah.main import DESCRIPTION, EPILOG

    return prose(f"{DESCRIPTION}\n\n{EPILOG}")


def settings() -> str:
    """
    @return: all settings.
    """
    return "\n".join(_setting(setting) for setting in TABLE)


def _setting(setting: Setting) -> str:
    if setting.required:
        default = "must be set"
    elif setting.beside is not None:
        names = " or ".join(f"``{name}``" for name in dict.fromkeys(setting.beside.values()))
        default = f"{names} beside the configuration file"
    else:
        default = f"``{setting.default}``" if setting.default else "not set"
    again = "  A change counts at the next start." if setting.isFixed else ""
    return (
        f".. confval:: {setting.name}\n\n"
        f"    *{_WHOSE[setting.roles]}; {setting.kind.typeName}; default:* {default}\n\n"
        f"    {setting.doc}{again}\n\n"
        f"    *Allowed:* {setting.kind.allowed}.\n"
    )


def errorKinds() -> str:
    """
    @return: the errors, each with what its class says of itself.
    """
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.RvgahpError)
    ]
    # The root stands for all that has no class of its own.
    kinds.sort(key=lambda kind: kind is errors.RvgahpError)
    return "\n\n".join(f"``{kind.__name__}``\n    {_said(kind)}" for kind in kinds) + "\n"


def _said(kind: type) -> str:
    return re.sub(r"[CL]\{([^{}]*)\}", r"``\1``", " ".join((inspect.getdoc(kind) or "").split()))
