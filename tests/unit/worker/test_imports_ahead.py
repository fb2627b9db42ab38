from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import textwrap

from userdata.worker.loaded.loaded import Loaded

IMPORT = """
import sys, threading

import userdata.worker.__main__
from userdata.worker.draw import start_imports

assert not {"torch", "diffusers", "transformers"} & set(sys.modules), "what holds the credentials loads what draws"
{before}
start_imports()
(thread,) = [one for one in threading.enumerate() if one.name == "imports"]
thread.join()
print("userdata.worker.loaded.make_drawing" in sys.modules)
"""


def imported(before: str = "") -> str:
    code = IMPORT.replace("{before}", before)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip() + done.stderr.strip()


def test_all_that_drawing_needs_is_imported_in_the_background() -> None:
    assert imported() == "True"


def test_what_cannot_be_imported_is_left_to_who_needs_it() -> None:
    assert imported('sys.modules["diffusers"] = None') == "False"


def test_a_run_enters_the_libraries_by_the_import_that_may_be_under_way() -> None:
    """By another one it may find diffusers half made, once in some dozens of starts."""
    code = ast.walk(ast.parse(textwrap.dedent(inspect.getsource(Loaded.draw))))
    imports = [node for node in code if isinstance(node, ast.Import | ast.ImportFrom)]
    first = min(imports, key=lambda node: node.lineno)
    assert ast.unparse(first) == "from userdata.worker.loaded import make_drawing"
