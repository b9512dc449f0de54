"""Makes the passwords of compose.yaml in the folder that is named; those that are there stay."""

import secrets
import sys
from pathlib import Path

folder = Path(sys.argv[1])


def keep(name: str, text: str) -> str:
    """The text of a file, which is made of `text` where there is none.

    All may read it, as users differ from container to container: who has not mounted the folder
    cannot.
    """
    path = folder / name
    if not path.exists():
        path.write_text(text, encoding="utf-8")
        path.chmod(0o444)
    return path.read_text(encoding="utf-8")


password = keep("postgres-password", secrets.token_urlsafe(24))
keep("database-url", f"postgresql://mirrorproof:{password}@postgres/mirrorproof")
keep("grafana-password", secrets.token_urlsafe(24))
