"""Who may do what to a node: ZooKeeper's ACLs with the schemes world, auth, digest and ip.

A connection carries identities: its address, and one for each successful auth request. An entry of an ACL
grants its permissions to the identities that match it.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
from typing import TYPE_CHECKING, NamedTuple

from storm.dev_zookeeper.protocol import AclEntry, ErrorCode, Permission, RequestRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from storm.dev_zookeeper.protocol import Acl


class Identity(NamedTuple):
    scheme: str
    id: str


Identities = tuple[Identity, ...]


def digest_identity(credentials: bytes) -> Identity:
    """The identity that `user:password` gives: `user:base64(sha1(user:password))`."""
    user = credentials.partition(b":")[0].decode(errors="replace")
    hashed = base64.b64encode(hashlib.sha1(credentials, usedforsecurity=False).digest()).decode()
    return Identity("digest", f"{user}:{hashed}")


def is_permitted(acl: Acl, permission: Permission, identities: Identities) -> bool:
    """A node whose ACL is empty is open."""
    return not acl or any(entry.permissions & permission and _matches(entry, identities) for entry in acl)


def check_permission(acl: Acl, permission: Permission, identities: Identities) -> None:
    """Raises `RequestRefusedError` (NO_AUTH)."""
    if not is_permitted(acl, permission, identities):
        raise RequestRefusedError(ErrorCode.NO_AUTH)


def resolve_acl(requested: Acl, identities: Identities) -> Acl:
    """The ACL to store: checked, without duplicates, `auth` replaced by the caller's own digest identities.

    Raises `RequestRefusedError` (INVALID_ACL) for an empty list, a scheme or id that is not valid, and
    `auth` from a caller who has not authenticated.
    """
    resolved: dict[AclEntry, None] = {}
    for entry in requested:
        resolved.update(dict.fromkeys(_resolve_entry(entry, identities)))
    if not resolved:
        raise RequestRefusedError(ErrorCode.INVALID_ACL)
    return tuple(resolved)


def readable_acl(acl: Acl, identities: Identities) -> Acl:
    """What getACL answers: without ADMIN, the hashes of digest entries are hidden (CVE-2019-0201).

    Raises `RequestRefusedError` (NO_AUTH) for a caller with neither READ nor ADMIN.
    """
    check_permission(acl, Permission.READ | Permission.ADMIN, identities)
    if is_permitted(acl, Permission.ADMIN, identities):
        return acl
    return tuple(
        entry._replace(id=entry.id.partition(":")[0] + ":x") if entry.scheme == "digest" else entry for entry in acl
    )


def _resolve_entry(entry: AclEntry, identities: Identities) -> Iterable[AclEntry]:
    match entry.scheme:
        case "world" if entry.id == "anyone":
            return (entry,)
        case "auth":
            own = [
                AclEntry(entry.permissions, identity.scheme, identity.id)
                for identity in identities
                if identity.scheme == "digest"
            ]
            if own:
                return own
        case "digest" if entry.id.count(":") == 1:
            return (entry,)
        case "ip" if _network(entry.id) is not None:
            return (entry,)
    raise RequestRefusedError(ErrorCode.INVALID_ACL)


def _matches(entry: AclEntry, identities: Identities) -> bool:
    if entry.scheme == "world":
        return True
    same_scheme = [identity.id for identity in identities if identity.scheme == entry.scheme]
    if entry.scheme == "ip":
        network = _network(entry.id)
        return network is not None and any(ipaddress.ip_address(address) in network for address in same_scheme)
    return entry.id in same_scheme


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
