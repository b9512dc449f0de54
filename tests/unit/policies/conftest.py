"""What the tests of policies share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from verifier.policies.model import Policy
from verifier.policies.read import read_policies

DATA = Path(__file__).parents[2] / "data" / "policies"
Read = Callable[..., tuple[Policy, ...]]
_SERVICE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: forecast-route, namespace: weather}}
spec:
  hosts: [forecast]
  http: {http}
"""


@pytest.fixture
def golden() -> Read:
    """Reads files of tests/data/policies."""

    def read(*names: str) -> tuple[Policy, ...]:
        return read_policies([DATA / name for name in names])

    return read


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads texts as the files policy-0.yaml, policy-1.yaml and so on."""

    def read_texts(*texts: str) -> tuple[Policy, ...]:
        paths = []
        for number, text in enumerate(texts):
            path = tmp_path / f"policy-{number}.yaml"
            path.write_text(text, "utf-8")
            paths.append(path)
        return read_policies(paths)

    return read_texts


@pytest.fixture
def read_http(read: Read) -> Read:
    """Reads the `http` list of the VirtualService weather/forecast-route, host forecast."""

    def read_routes(http: str) -> tuple[Policy, ...]:
        return read(_SERVICE.format(http=http))

    return read_routes
