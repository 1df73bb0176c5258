"""
Put the client into one file: C{python contrib/make-client-pyz.py FILE [INTERPRETER]}.

The file is C{rvgahp_client} for submit hosts without a virtual environment (C{doc/client.rst}).  It
has the modules that the client can load, and no others: it needs INTERPRETER, which is
C{/usr/bin/python3} at first, and of all packages C{cryptography}.  Each module is there as source
and compiled by the Python that runs this, so run the one that will run the file; another takes
the source, and is slower.

The same sources and Python make the same bytes.  C{SOURCE_DATE_EPOCH} is the time of all entries.
"""

import ast
import io
import os
import py_compile
import sys
import tempfile
import time
import zipfile
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "rvgahp"

#: The client's first module.
FIRST = "client"

#: The earliest time that a zip file can have.
EPOCH = 315532800

#: What runs the client.
MAIN = b"from rvgahp.client import main\n\nmain()\n"


def isTypeChecking(node):
    """
    @return: whether it is a block for the type checker only.
    """
    return isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"


def imported(path):
    """
    @return: the modules of the package that a module imports when it runs, wherever in it.
    """
    names, left = set(), [ast.parse(path.read_bytes())]
    while left:
        node = left.pop()
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
            names.add(node.module)
        left += node.orelse if isTypeChecking(node) else ast.iter_child_nodes(node)
    ours = {name.split(".")[1] for name in names if name.startswith("rvgahp.")}
    return {name for name in ours if (PACKAGE / f"{name}.py").exists()}


def modules():
    """
    @return: all that the client may load, by name.
    """
    found, left = {"__init__"}, {FIRST}
    while left:
        name = left.pop()
        found.add(name)
        left |= imported(PACKAGE / f"{name}.py") - found
    return sorted(found)


def compiled(path, name, directory):
    """
    @return: the bytes of a C{.pyc} which is never compared with its source.
    """
    target = Path(directory, "compiled")
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(path), str(target), name, doraise=True, invalidation_mode=mode)
    return target.read_bytes()


def archive():
    """
    @return: the bytes of the zip file.
    """
    seconds = max(int(os.environ.get("SOURCE_DATE_EPOCH", EPOCH)), EPOCH)
    date = time.gmtime(seconds)[:6]
    entries = {"__main__.py": MAIN}
    with tempfile.TemporaryDirectory() as directory:
        for module in modules():
            path, name = PACKAGE / f"{module}.py", f"rvgahp/{module}.py"
            entries[name] = path.read_bytes()
            entries[f"{name}c"] = compiled(path, name, directory)
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w") as file:  # not compressed: nothing is to be unpacked
        for name, data in sorted(entries.items()):
            entry = zipfile.ZipInfo(name, date)
            entry.external_attr = 0o100644 << 16
            entry.create_system = 3  # UNIX
            file.writestr(entry, data)
    return output.getvalue()


def main(path, interpreter="/usr/bin/python3"):
    """
    Make the file.
    """
    # -I: what the environment or the home of a job's owner has for Python is not for this program.
    data = f"#!{interpreter} -I\n".encode() + archive()
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    partial = Path(f"{path}.new")
    partial.write_bytes(data)
    partial.chmod(0o755)
    partial.rename(path)


main(*sys.argv[1:])
