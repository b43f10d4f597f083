"""Look the pinned packages up in a database of vulnerabilities: `python -m tests.audit [options of uv audit]`.

Asks OSV (https://osv.dev), so it needs the network. Exits 0 when nothing is known of any pin, and with another code
when something is, or when the database does not answer.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

PINS = Path(__file__).parent.parent / "requirements-dev.txt"  # those of `requirements.txt` are among them
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
REGISTRY = 'source = { registry = "https://pypi.org/simple" }'


def pins() -> dict[str, str]:
    """Name and version of every pinned package."""
    return dict(PIN.findall(PINS.read_text()))


def lock(folder: Path) -> None:
    """Write a project that depends on all pins, as far as `uv audit` reads one: nothing is resolved anew."""
    project = '[project]\nname = "pins"\nversion = "0"\nrequires-python = ">=3.11"\n'
    (folder / "pyproject.toml").write_text(
        f"{project}dependencies = {[f'{name}=={v}' for name, v in pins().items()]}\n"
    )
    root = ['version = 1\nrequires-python = ">=3.11"\n', '[[package]]\nname = "pins"\nversion = "0"']
    root += [
        'source = { virtual = "." }',
        "dependencies = [",
        *(f'    {{ name = "{name}" }},' for name in pins()),
        "]\n",
    ]
    packages = [f'[[package]]\nname = "{name}"\nversion = "{v}"\n{REGISTRY}\n' for name, v in pins().items()]
    (folder / "uv.lock").write_text("\n".join(root + packages))


def main() -> int:
    """Audit; the exit code."""
    with tempfile.TemporaryDirectory(prefix="registry-audit-") as folder:
        lock(Path(folder))
        command = [str(Path(sys.executable).with_name("uv")), "audit", "--preview-features", "audit-command"]
        command += ["--no-config", "--frozen", "--project", folder, *sys.argv[1:]]
        return subprocess.run(command, check=False).returncode  # noqa: S603 — our own command


if __name__ == "__main__":
    sys.exit(main())
