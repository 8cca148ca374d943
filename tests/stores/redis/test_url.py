"""URLs of Redis stores."""

import pytest

from tokentape.core.errors import SetupError
from tokentape.stores.redis.url import Target, parse_url


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("redis://localhost", Target(hosts=(("localhost", 6379),))),
        ("valkey://localhost", Target(hosts=(("localhost", 6379),))),
        ("redis://", Target(hosts=(("localhost", 6379),))),
        ("redis://h:1/3", Target(hosts=(("h", 1),), db=3)),
        ("redis://h?db=3", Target(hosts=(("h", 6379),), db=3)),
        ("redis://[::1]:7000", Target(hosts=(("::1", 7000),))),
        ("redis://:p%40s%2Fs@h", Target(hosts=(("h", 6379),), password="p@s/s")),
        ("redis://me:secret@h/1", Target(hosts=(("h", 6379),), username="me", password="secret", db=1)),
        ("rediss://h?ca=/etc/ca.pem", Target(hosts=(("h", 6379),), tls=True, ca="/etc/ca.pem")),
        ("valkeys://h", Target(hosts=(("h", 6379),), tls=True)),
        ("redis://h?prefix=chat:&timeout=1.5", Target(hosts=(("h", 6379),), prefix="chat:", timeout=1.5)),
        ("unix:///run/redis.sock", Target(kind="unix", path="/run/redis.sock")),
        ("unix://:pw@/run/my%20redis.sock?db=2", Target(kind="unix", path="/run/my redis.sock", password="pw", db=2)),
        (
            "redis+sentinel://a,b:1/mymaster/2",
            Target(kind="sentinel", hosts=(("a", 26379), ("b", 1)), service="mymaster", db=2),
        ),
        (
            "redis+sentinel://me:pw@a/m?sentinel_user=s&sentinel_password=p%2Bw",
            Target(
                kind="sentinel",
                hosts=(("a", 26379),),
                service="m",
                username="me",
                password="pw",
                sentinel_username="s",
                sentinel_password="p+w",
            ),
        ),
        ("redis+cluster://a,b:1", Target(kind="cluster", hosts=(("a", 6379), ("b", 1)))),
        ("rediss+cluster://a", Target(kind="cluster", hosts=(("a", 6379),), tls=True)),
    ],
)
def test_urls(url: str, target: Target) -> None:
    assert parse_url(url) == target


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://h", "is no scheme of a Redis URL. Use redis://host"),
        ("redis://h/x", "database in the Redis URL is not a number"),
        ("redis://h/1?db=2", "database in the Redis URL is not a number"),
        ("redis://h/1/2", "database in the Redis URL is not a number"),
        ("redis://h:x", "port in the Redis URL is not a number"),
        ("redis://h:70000", "port in the Redis URL is not a number"),
        ("redis://h:0", "port in the Redis URL is not a number"),
        ("redis://[::1", "cannot be read"),
        ("redis://a,b", "Use redis+sentinel:// or redis+cluster://"),
        ("redis+sentinel://a", "needs the name of the service"),
        ("redis+cluster://a/1", "has no databases"),
        ("unix://host/path", "three slashes"),
        ("unix://", "three slashes"),
        ("redis://h?timeout=0", "not a number of seconds"),
        ("redis://h?timeout=nan", "not a number of seconds"),
        ("redis://h?timeout=soon", "not a number of seconds"),
        ("redis://h?prefix=", "prefix in the Redis URL"),
        ("redis://h?prefix=a{b}", "prefix in the Redis URL"),
        ("redis://h?max_connections=3", "unknown option 'max_connections'. Known: prefix, timeout, db."),
        ("redis://h?ca=x", "unknown option 'ca'"),
        ("redis://h?sentinel_password=x", "unknown option 'sentinel_password'"),
        ("redis+sentinel://h/m?x=1", "Known: prefix, timeout, db, sentinel_user, sentinel_password."),
        ("redis://h#1", "written %23"),
    ],
)
def test_other_urls_are_refused_with_the_way_out(url: str, says: str) -> None:
    with pytest.raises(SetupError) as refused:
        parse_url(url)
    assert says in refused.value.message


@pytest.mark.parametrize(
    "url",
    [
        "redis://me:hunter2@h/1",
        "redis+sentinel://:hunter2@a,b/mymaster",
        "redis+cluster://:hunter2@a",
        "unix://:hunter2@/s",
    ],
)
def test_a_password_is_never_shown(url: str) -> None:
    target = parse_url(url)
    assert target.password == "hunter2"
    assert "hunter2" not in f"{target} {target!r}"
    # What is shown leads to the same place.
    shown = parse_url(str(target))
    assert (shown.kind, shown.hosts, shown.db, shown.service) == (target.kind, target.hosts, target.db, target.service)


def test_nor_is_sentinels() -> None:
    target = parse_url("redis+sentinel://a/m?sentinel_password=hunter2")
    assert target.sentinel_password == "hunter2"
    assert "hunter2" not in f"{target} {target!r}"


@pytest.mark.parametrize(
    "url", ["redis://:hunter2@h/x", "redis://:hunter2@h:x", "redis://:hunter2@[h", "x://:hunter2@h"]
)
def test_nor_in_an_error(url: str) -> None:
    with pytest.raises(SetupError) as refused:
        parse_url(url)
    assert "hunter2" not in str(refused.value)
