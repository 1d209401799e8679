"""`storm blobstore`: the files that people keep in the cluster, for topologies and for one another."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from storm.cli.options import as_json, connect_nimbus, with_settings
from storm.cli.output import Steps, print_json, size, table

if TYPE_CHECKING:
    from storm.config.settings import Settings

SENDING_TIMEOUT_SECS = 90.0  # Nimbus waits for a minute for others that shall hold the blob too

_file = click.option(
    "-f", "--file", "file", metavar="FILE", type=click.Path(path_type=Path), help="Instead of standard input or output."
)


@click.group()
def blobstore() -> None:
    """Keep files in the cluster: on every Nimbus, and where a topology's topology.blobstore.map names them."""


@blobstore.command("list")
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@as_json
@with_settings
def list_blobs(settings: Settings, keys: tuple[str, ...], as_json: bool) -> None:
    """List the blobs that people made, or those with these keys."""
    from storm.client.blobs import blob_info, blob_keys
    from storm.clock import format_wall

    with connect_nimbus(settings) as nimbus:
        blobs = [blob_info(nimbus, key) for key in keys or blob_keys(nimbus)]
    if as_json:
        print_json([blob._asdict() for blob in blobs])
    elif not blobs:
        click.echo("there are no blobs; `storm blobstore create -f FILE KEY` makes one")
    else:
        rows = [
            [blob.key, blob.version, size(blob.size_bytes), format_wall(blob.updated_wall_secs), blob.nimbuses]
            for blob in blobs
        ]
        click.echo(table(["key", "version", "size", "updated", "nimbuses"], rows))


@blobstore.command()
@click.argument("key")
@_file
@with_settings
def cat(settings: Settings, key: str, file: Path | None) -> None:
    """Print what blob KEY has now, or write it to FILE."""
    from storm.client.blobs import read_blob
    from storm.errors import StormError

    with connect_nimbus(settings) as nimbus:
        if file is None:
            read_blob(nimbus, key, sys.stdout.buffer.write)
            sys.stdout.buffer.flush()
            return
        if os.path.isdir(file):
            raise StormError(f"{file} is a directory: give -f the name of a file")
        beside = file.with_name(f".{file.name}.part")
        try:
            with beside.open("wb") as target:
                read_blob(nimbus, key, target.write)
            os.replace(beside, file)
        except OSError as error:
            raise StormError(f"{file} cannot be written: {error.strerror or error}") from None
        finally:
            with contextlib.suppress(OSError):  # where it could not be made, it cannot be removed either
                beside.unlink(missing_ok=True)


@blobstore.command()
@click.argument("key")
@_file
@click.option(
    "-r",
    "--replication-factor",
    "replication",
    type=click.IntRange(1, 100),
    help="On how many Nimbuses it must be, of those that live (default: storm.blobstore.replication.factor).",
)
@with_settings
def create(settings: Settings, key: str, file: Path | None, replication: int | None) -> None:
    """Make the blob KEY of FILE or standard input."""
    _send(settings, key, file, replication, is_new=True)


@blobstore.command(short_help="Replace what blob KEY has.")
@click.argument("key")
@_file
@with_settings
def update(settings: Settings, key: str, file: Path | None) -> None:
    """Replace what blob KEY has by FILE or standard input; workers that use it follow at once."""
    _send(settings, key, file, None, is_new=False)


@blobstore.command()
@click.argument("key")
@with_settings
def delete(settings: Settings, key: str) -> None:
    """Delete the blob KEY. One that a topology wants is not deleted."""
    with connect_nimbus(settings) as nimbus:
        nimbus.call("deleteBlob", key)
    click.echo(f"{key} is deleted")


@blobstore.command(short_help="Show or set on how many Nimbuses blob KEY is.")
@click.argument("key")
@click.option("--read", is_flag=True, help="Say how many Nimbuses hold it; also without this.")
@click.option("--update", "is_update", is_flag=True, help="Change it to -r N.")
@click.option("-r", "--replication-factor", "replication", type=click.IntRange(1, 100), help="To this.")
@with_settings
def replication(settings: Settings, key: str, read: bool, is_update: bool, replication: int | None) -> None:
    """Show on how many Nimbuses blob KEY is, or set on how many its next content must be before it counts.

    Every Nimbus fetches every blob, whatever the number.
    """
    if read and is_update:
        raise click.UsageError("give --read or --update, not both")
    if is_update != (replication is not None):
        raise click.UsageError("--update and -r N go together")
    with connect_nimbus(settings) as nimbus:
        if replication is None:
            found = nimbus.call("getBlobReplication", key)
        else:
            found = nimbus.call("updateBlobReplication", key, replication)
    click.echo(f"{key} is on {found} {'Nimbus' if found == 1 else 'Nimbuses'}")


def _send(settings: Settings, key: str, file: Path | None, replication: int | None, *, is_new: bool) -> None:
    from storm.client.blobs import blob_info, create_blob, update_blob
    from storm.clock import SystemClock
    from storm.errors import StormError

    steps = Steps(1, SystemClock())
    try:
        source: BinaryIO = sys.stdin.buffer if file is None else file.open("rb")
        total = None if file is None else file.stat().st_size
    except OSError as error:
        raise StormError(f"{file} cannot be read: {error.strerror or error}") from None

    def progress(done: int) -> None:
        if total is None:
            steps.note(size(done))
        else:
            steps.progress(done, total)

    with source, connect_nimbus(settings, SENDING_TIMEOUT_SECS) as nimbus:
        steps.start(f"{'creating' if is_new else 'updating'} {key}")
        try:
            if is_new:
                create_blob(nimbus, key, source, replication, progress, total or 0)
            else:
                update_blob(nimbus, key, source, progress, total or 0)
            blob = blob_info(nimbus, key)
            steps.done(f"version {blob.version}, {size(blob.size_bytes)}")
        except BaseException:
            steps.failed()
            raise
