"""
The example plugin of C{doc/authentication.rst}, as it stands there.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent.parent / "doc" / "authentication.rst"


def exampleSource() -> str:
    """
    @return: its source.
    """
    found = re.search(r"::\n\n(    import hmac\n.*?\n)\n(?=\S)", PAGE.read_text(), re.S)
    assert found is not None
    return textwrap.dedent(found[1])


def examplePlugin() -> dict[str, Any]:
    """
    @return: the names that its module has.
    """
    names: dict[str, Any] = {}
    exec(compile(exampleSource(), str(PAGE), "exec"), names)
    return names


EXAMPLE = examplePlugin()


def secretMethod(secrets: dict[str, str]) -> Any:
    """
    @param secrets: by name.
    @return: the example's method, with these in place of its file.
    """
    method = EXAMPLE["SecretMethod"]()
    method.secrets = lambda: {name: secret.encode() for name, secret in secrets.items()}
    return method
