"""
Sphinx: C{.. generated:: NAME [WORD]} stands for what that function of C{generated.py} returns,
and the name of a setting, wherever it stands as a literal, leads to what is said of it.
"""

from __future__ import annotations

from pathlib import Path

import generated
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode

import rvgahp
from rvgahp.settingtable import TABLE

#: Of what pages are made: the program's text.
_SOURCES = [generated.__file__, *map(str, Path(rvgahp.__file__).parent.glob("*.py"))]

_SETTINGS = {setting.name for setting in TABLE}


class Generated(SphinxDirective):
    """
    A part of a page that is made of the program's own tables.
    """

    required_arguments = 1
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        # Else a page stays as it was when Sphinx goes on with what it has read before.
        for source in _SOURCES:
            self.env.note_dependency(source)
        name, *words = self.arguments
        text = getattr(generated, name)(*words)
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def mendLinks(app: Sphinx, tree: nodes.document, page: str) -> None:
    """
    In the manual make links of the names of settings; in a man page, which can have no links,
    make of each the name of where it leads.
    """
    if app.builder.format == "man":
        # Names are to be found whole: no hyphenation, and no lines drawn out.
        layout = nodes.raw("", ".nr HY 0\n.nh\n.ad l\n", format="manpage")
        next(tree.findall(nodes.section)).insert(1, layout)
        for link in list(tree.findall(nodes.reference)):
            if link.get("internal"):
                link.replace_self(nodes.emphasis("", link.astext()))
        return
    objects = app.env.domains.standard_domain.objects
    for literal in list(tree.findall(nodes.literal)):
        name = literal.astext()
        if name in _SETTINGS and not isinstance(literal.parent, nodes.reference):
            target, anchor = objects["confval", name]
            link = make_refnode(app.builder, page, target, anchor, literal.deepcopy())
            literal.replace_self(link)


def setup(app: Sphinx) -> dict[str, bool]:
    """
    Called by Sphinx.
    """
    app.add_directive("generated", Generated)
    app.connect("doctree-resolved", mendLinks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
