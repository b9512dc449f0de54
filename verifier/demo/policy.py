"""The one policy of the demo, as an operator would write it: v2 is live, v1 gets every copy."""

from __future__ import annotations

from typing import Final

POLICY_NAME: Final = "weather/forecast-route"

POLICY_YAML: Final = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: forecast-route
  namespace: weather
spec:
  hosts:
    - forecast
  http:
    - route:
        - destination:
            host: forecast
            subset: v2
          weight: 100
      mirror:
        host: forecast
        subset: v1
      mirrorPercentage:
        value: 100
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: forecast-dr
  namespace: weather
spec:
  host: forecast
  subsets:
    - name: v1
      labels:
        version: v1
    - name: v2
      labels:
        version: v2
"""
