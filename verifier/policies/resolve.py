"""The questions asked of policies for every line: its route, and its pod's destination."""

from verifier.policies.model import covers
from verifier.policies.pods import PodVersions
from verifier.policies.routes import RouteTable, Unknown

__all__ = ["PodVersions", "RouteTable", "Unknown", "covers"]
