"""Stands in for `java` when kazoo's test harness starts a ZooKeeper: starts ours from the same zoo.cfg.

Runs in the environment of kazoo's tests, which has pyjks for the Java key stores that the harness writes. STORM_PYTHON
names the Python that has `storm`.
"""

from __future__ import annotations

import os
import ssl
import sys
from pathlib import Path

import jks


def settings(path: Path) -> dict[str, str]:
    lines = (line.partition("=") for line in path.read_text().splitlines() if "=" in line)
    return {key.strip(): value.strip() for key, _, value in lines}


def write_pem_files(config: dict[str, str], directory: Path) -> dict[str, Path]:
    """The server's certificate, its key and the authority of the clients, from the Java key stores."""
    keys = jks.KeyStore.load(config["ssl.keyStore.location"], config["ssl.keyStore.password"])
    trusted = jks.KeyStore.load(config["ssl.trustStore.location"], config["ssl.trustStore.password"])
    (entry,) = keys.private_keys.values()
    files = {
        "--tls-certificate-file": "".join(ssl.DER_cert_to_PEM_cert(der) for _, der in entry.cert_chain),
        "--tls-key-file": pem_key(entry.pkey_pkcs8),
        "--tls-ca-file": "".join(ssl.DER_cert_to_PEM_cert(cert.cert) for cert in trusted.certs.values()),
    }
    paths = {}
    for option, text in files.items():
        paths[option] = directory / f"{option.strip('-')}.pem"
        paths[option].write_text(text)
    return paths


def pem_key(pkcs8: bytes) -> str:
    return ssl.DER_cert_to_PEM_cert(pkcs8).replace("CERTIFICATE", "PRIVATE KEY")


def main() -> None:
    config_path = Path(sys.argv[-1])
    config = settings(config_path)
    arguments = ["-m", "storm.dev_zookeeper", "--port", config["clientPort"], "--tick-ms", config["tickTime"]]
    # The harness keeps a file of its own in dataDir, and its tests lift the limit on connections.
    arguments += ["--data-dir", f"{config['dataDir']}/storm", "--connections-per-address-max", "10000"]
    arguments += ["--tls-port", config["secureClientPort"]]
    for option, path in write_pem_files(config, config_path.parent).items():
        arguments += [option, str(path)]
    python = os.environ["STORM_PYTHON"]
    os.execv(python, [python, *arguments])


if __name__ == "__main__":
    main()
