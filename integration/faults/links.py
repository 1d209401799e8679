"""The links of hosts that share one address: what goes from one to another passes through proxies of that link."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from tcp_proxy import TcpProxy

if TYPE_CHECKING:
    from network import Network, Place

ROUTED_LINKS = Path(__file__).resolve().parent / "routed_links"


class LinkProxies:
    """Those of one cluster; `close` them at its end. `directory`: the cluster's."""

    def __init__(self, network: Network, directory: Path) -> None:
        self._network = network
        self._routes_file = directory / "routes.json"
        self._routes: dict[str, dict[str, int]] = {}
        self._proxies: list[TcpProxy] = []

    def between(self, source: Place, target: Place, port: int) -> TcpProxy:
        """By which `source` reaches this port of `target`."""
        proxy = TcpProxy((target.address, port))
        self._proxies.append(proxy)
        self._network.carry(proxy, source, target)
        return proxy

    def route_workers(self, slots: dict[Place, list[int]]) -> list[TcpProxy]:
        """Let workers that get `worker_environment` reach each other's slots, {host: ports}, by proxies, which these
        are.
        """
        made = []
        for source in slots:
            routes = self._routes[source.name] = {}
            for target, ports in slots.items():
                for port in ports:
                    proxy = self.between(source, target, port)
                    routes[str(port)] = proxy.port
                    made.append(proxy)
        self._routes_file.parent.mkdir(parents=True, exist_ok=True)
        self._routes_file.write_text(json.dumps(self._routes))
        return made

    @property
    def worker_environment(self) -> dict[str, str]:
        """For `topology.environment`; empty where workers reach each other themselves."""
        if not self._routes:
            return {}
        return {"PYTHONPATH": str(ROUTED_LINKS), "FAULTS_ROUTES": str(self._routes_file)}

    def close(self) -> None:
        for proxy in self._proxies:
            proxy.close()
