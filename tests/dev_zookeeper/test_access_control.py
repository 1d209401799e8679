from __future__ import annotations

import pytest
from kazoo.security import make_digest_acl_credential

from storm.dev_zookeeper.access_control import (
    Identity,
    check_permission,
    digest_identity,
    readable_acl,
    resolve_acl,
)
from storm.dev_zookeeper.protocol import OPEN_ACL, AclEntry, Permission, RequestRefusedError

LOCAL = (Identity("ip", "127.0.0.1"),)
ALICE = digest_identity(b"alice:secret")
AS_ALICE = (*LOCAL, ALICE)


def test_a_digest_is_the_one_that_kazoo_computes() -> None:
    assert digest_identity("jörg:pw:x".encode()).id == make_digest_acl_credential("jörg", "pw:x")


@pytest.mark.parametrize(
    ("acl", "identities", "allowed"),
    [
        (OPEN_ACL, LOCAL, True),
        ((), LOCAL, True),
        ((AclEntry(Permission.WRITE, "world", "anyone"),), LOCAL, False),
        ((AclEntry(31, "digest", ALICE.id),), LOCAL, False),
        ((AclEntry(31, "digest", ALICE.id),), AS_ALICE, True),
        ((AclEntry(31, "digest", ALICE.id),), (Identity("ip", ALICE.id),), False),
        ((AclEntry(31, "ip", "127.0.0.1"),), LOCAL, True),
        ((AclEntry(31, "ip", "127.0.0.0/8"),), LOCAL, True),
        ((AclEntry(31, "ip", "10.0.0.0/8"),), LOCAL, False),
        ((AclEntry(31, "ip", "::1"),), LOCAL, False),
    ],
)
def test_who_may_read(acl: tuple[AclEntry, ...], identities: tuple[Identity, ...], allowed: bool) -> None:
    if allowed:
        check_permission(acl, Permission.READ, identities)
    else:
        with pytest.raises(RequestRefusedError, match="NO_AUTH"):
            check_permission(acl, Permission.READ, identities)


def test_auth_stands_for_the_callers_digests() -> None:
    requested = (AclEntry(31, "auth", ""), AclEntry(1, "world", "anyone"), AclEntry(31, "auth", "x"))

    assert resolve_acl(requested, AS_ALICE) == (
        AclEntry(31, "digest", ALICE.id),
        AclEntry(1, "world", "anyone"),
    )


@pytest.mark.parametrize(
    "acl",
    [
        (),
        (AclEntry(31, "world", "somebody"),),
        (AclEntry(31, "auth", ""),),
        (AclEntry(31, "digest", "no colon"),),
        (AclEntry(31, "digest", "two:co:lons"),),
        (AclEntry(31, "ip", "256.0.0.1"),),
        (AclEntry(31, "ip", "10.0.0.0/33"),),
        (AclEntry(31, "unknown", "x"),),
        (AclEntry(31, "world", "anyone"), AclEntry(31, "", "")),
    ],
)
def test_acls_that_are_not_valid(acl: tuple[AclEntry, ...]) -> None:
    with pytest.raises(RequestRefusedError, match="INVALID_ACL"):
        resolve_acl(acl, LOCAL)


def test_hashes_are_hidden_from_those_who_may_only_read() -> None:
    acl = (AclEntry(31, "digest", ALICE.id), AclEntry(Permission.READ, "world", "anyone"))

    assert readable_acl(acl, LOCAL)[0].id == "alice:x"
    assert readable_acl(acl, AS_ALICE) == acl
    with pytest.raises(RequestRefusedError, match="NO_AUTH"):
        readable_acl(acl[:1], LOCAL)
