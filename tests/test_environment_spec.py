from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm.environment_spec import (
    EnvironmentSpec,
    check_line,
    check_lines,
    from_plain,
    from_wheels,
    logical_lines,
    project_of,
    read_manifest,
)
from storm.errors import PackageError

WHEEL = "colours-1.0-py3-none-any.whl"


@pytest.mark.parametrize(
    "line",
    [
        "requests",
        "requests>=2,<3",
        "requests (>=2 , <3,)",
        "requests [socks, use_chardet_on_py3] >= 2.8.1, == 2.8.* ; python_version < '3.12'",
        "a_b.c==1.0+local.1",
        "x===1.0",
        "x~=1.4",
        "x==1.0 --hash=sha256:" + "0" * 64 + " --hash=sha256:" + "1" * 64,
        "x==1.0 ; sys_platform == 'linux' --hash=sha256:" + "0" * 64,
        "x @ https://example.org/x-1.0-py3-none-any.whl",
        "x[y] @ git+https://example.org/x.git@abc123 ; python_version >= '3'",
        "-i https://pypi.example.org/simple",
        "--index-url=https://pypi.example.org/simple",
        "--extra-index-url https://pypi.example.org/simple",
        "--only-binary :all:",
        "--pre",
    ],
)
def test_what_pip_and_uv_both_understand_passes(line: str) -> None:
    check_line(line)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("./mine", "names a file, which no host has: put its wheel into a directory"),
        ("/etc/passwd", "names a file"),
        ("file:///x.whl", "names a file"),
        ("mine-1.0-py3-none-any.whl", "names a file"),
        ("-e .", "names a directory, which no host has"),
        ("x @ file:///etc/passwd", "must name an http or git address"),
        ("x @ ../x", "must name an http or git address"),
        ("-r /etc/passwd", "is none that hosts follow"),
        ("-c other.txt", "is none that hosts follow"),
        ("--config-settings x=y", "is none that hosts follow"),
        ("-f /srv/wheels", "must name an http address"),
        ("--index-url", "needs one value"),
        ("--only-binary --pre", "needs one value"),
        ("--pre=yes", "is none that hosts follow|needs"),
        ("x --global-option=a", "an option other than --hash"),
        ("x; python_version>'3' --install-option=a", "an option other than --hash"),
        ("https://user:${TOKEN}@example.org/x.whl", "names a variable of the environment"),
        ("x\n-r /etc/passwd", "has blanks that none needs"),
        ("x\0", "a character in it that is no text"),
        ("x y", "is none that pip understands"),
        ("x==1" + " " * 200_000 + "!", "has blanks that none needs"),
        ("x" * 300_000, "has more than 262,144 characters"),
        ("=1", "is none that pip understands"),
        ("x>=1 <2", "is none that pip understands"),
    ],
)
def test_what_no_host_could_or_should_follow_is_refused_by_name(line: str, complaint: str) -> None:
    with pytest.raises(PackageError, match=complaint):
        check_line(line)


@pytest.mark.parametrize("part", [" ==1", "==1, ", "==1!", ",==1!!"])
def test_a_long_line_is_looked_at_once(part: str) -> None:
    with pytest.raises(PackageError):  # at once: what goes through all ways to match it never comes to an end
        check_line("x" + part * 10_000 + "?")


@given(st.text(max_size=40) | st.text("ax1.[],;@ -=<>!~#:/${}\"'", max_size=40))
def test_any_text_is_a_requirement_or_refused(line: str) -> None:
    with contextlib.suppress(PackageError):
        check_line(line)
        assert not line.startswith((".", "/")), "no path"


def test_lines_are_joined_and_comments_left_out() -> None:
    text = "# all\nx==1 \\\n    --hash=sha256:aa \\\n  --hash=sha256:bb  # why\n\n  y # z\nz#1\n# end \\\nlast"
    assert list(logical_lines(text)) == [
        (2, "x==1 --hash=sha256:aa --hash=sha256:bb"),
        (6, "y"),
        (7, "z#1"),
        (9, "last"),
    ]


def test_too_many_requirements_are_refused() -> None:
    with pytest.raises(PackageError, match="more than 5000 requirements"):
        check_lines(f"x{number}" for number in range(5_001))


def test_the_key_is_that_of_all_that_decides_what_is_installed() -> None:
    spec = EnvironmentSpec("3.11", ("x==1",), ((WHEEL, "a" * 64),))
    others = [
        EnvironmentSpec("3.12", spec.requirements, spec.wheels),
        EnvironmentSpec("3.11", ("x==2",), spec.wheels),
        EnvironmentSpec("3.11", spec.requirements, ((WHEEL, "b" * 64),)),
        EnvironmentSpec("3.11", spec.requirements),
    ]
    keys = {each.key for each in [spec, *others]}
    assert len(keys) == 5
    assert {len(key) for key in keys} == {32}
    assert from_plain(json.loads(json.dumps(spec.to_plain()))) == spec


@pytest.mark.parametrize(
    ("plain", "complaint"),
    [
        ([], "not an object"),
        ({}, "names Python None"),
        ({"python": "3.11/../..", "requirements": []}, "which is no version such as 3.11"),
        ({"python": "3.11", "requirements": "x"}, "not a list of texts"),
        ({"python": "3.11", "requirements": [1]}, "not a list of texts"),
        ({"python": "3.11", "requirements": ["-r /etc/passwd"]}, "none that hosts follow"),
        ({"python": "3.11", "requirements": [], "wheels": ["a"]}, "not a list of names and hashes"),
        ({"python": "3.11", "requirements": [], "wheels": {"../" + WHEEL: "a" * 64}}, "which is none"),
        ({"python": "3.11", "requirements": [], "wheels": {WHEEL: "a"}}, "has no hash of it"),
    ],
)
def test_a_manifest_that_no_client_wrote_is_refused(plain: object, complaint: str) -> None:
    with pytest.raises(PackageError, match=complaint):
        read_manifest(json.dumps({"format": 1, "environment": plain}).encode())


def test_a_manifest_without_an_environment_wants_none() -> None:
    assert read_manifest(b'{"format": 1, "python": "3.11", "files": 2}') is None
    assert read_manifest(b"[]") is None
    with pytest.raises(PackageError, match="its manifest is not readable"):
        read_manifest(b"[" * 100_000)


@pytest.mark.parametrize(
    ("line", "as_wheel"),
    [
        ("colours", "colours"),
        ("--pre", "--pre"),
        ("x==1 ; python_version >= '3'", "x==1 ; python_version >= '3'"),
        ("Colours @ https://example.org/colours.zip", "Colours==1.0"),
        ("colours@https://example.org/colours.zip;x", "colours==1.0"),
        (
            "colours[all] @ git+https://example.org/x.git@abc ; python_version >= '3' --hash=sha256:aa",
            "colours[all]==1.0 ; python_version >= '3' --hash=sha256:aa",
        ),
        ("two @ https://example.org/two.zip", "two"),
        ("none @ https://example.org/none.zip", "none"),
    ],
)
def test_where_wheels_travel_an_address_is_its_wheel(line: str, as_wheel: str) -> None:
    check_line(line)
    wheels = [(name, "a" * 64) for name in (WHEEL, "two-1-py3-none-any.whl", "two-2-py3-none-any.whl")]
    assert from_wheels(line, wheels) == as_wheel
    check_line(as_wheel)


def test_names_are_compared_as_indexes_do() -> None:
    assert project_of("Storm_Cluster[x]>=1") == "storm-cluster"
    assert project_of("--pre") is None
