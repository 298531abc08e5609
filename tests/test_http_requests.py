"""The target and the host of requests over HTTP."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from twisted_chat.http_requests import header_of_proxy, host_of, is_name, name_of, path_of


class TargetTests(SynchronousTestCase):
    """RFC 9112, section 3.2: the target of a request is a path, or a whole URL."""

    def test_the_path_has_no_query(self) -> None:
        for target, path in (
            (b"/", b"/"),
            (b"/chat?http://a/b", b"/chat"),
            (b"//a/b", b"//a/b"),
            (b"", b""),
            (b"*", b"*"),
            (b"ftp://a/b", b"ftp://a/b"),
        ):
            self.assertEqual(path_of(target), path)

    def test_a_whole_url_has_a_path_and_a_host(self) -> None:
        headers = Headers({b"Host": [b"other"]})
        for target, path, host in (
            (b"http://a", b"/", b"a"),
            (b"HTTPS://a:443/", b"/", b"a:443"),
            (b"http://[::1]:1/chat?x=/y", b"/chat", b"[::1]:1"),
            (b"http://a?x", b"/", b"a"),
            (b"http:///chat", b"/chat", b""),
        ):
            self.assertEqual((path_of(target), host_of(target, headers)), (path, host))

    def test_there_has_to_be_one_header_with_the_host(self) -> None:
        for target in b"/", b"http://a/":
            self.assertEqual(host_of(target, Headers()), b"")
            self.assertEqual(name_of(host_of(target, Headers({b"Host": [b"a", b"a"]}))), b"")
        self.assertEqual(host_of(b"/", Headers({b"Host": [b"a:1"]})), b"a:1")


class HostTests(SynchronousTestCase):
    """A host is a name or an address, with or without a port."""

    def test_a_name_is_in_lower_case_and_without_its_port(self) -> None:
        for host, name in (b"Chat.Example.org:1", b"chat.example.org"), (b"[::1]:80", b"::1"), (b"a_b", b"a_b"):
            self.assertEqual(name_of(host), name)

    def test_what_is_no_host_has_no_name(self) -> None:
        for host in b"", b"a b", b"a:b", b"a/b", b"[::1", b"a:1:2", b"::1", b"\xff", b"user@host":
            self.assertEqual(name_of(host), b"")

    def test_addresses_and_localhost_are_no_names_of_the_dns(self) -> None:
        for host in b"127.0.0.1", b"[::1]:1", b"192.0.2.1:80", b"LOCALHOST", b"chat.localhost:1":
            self.assertFalse(is_name(host))
        for host in b"chat.example.org:1", b"localhost.evil.example", b"127.0.0.1.nip.io", b"0x7f000001", b"1", b"\xff":
            self.assertTrue(is_name(host))


class ProxyTests(SynchronousTestCase):
    """A proxy adds headers that no client sends."""

    def test_a_header_of_a_proxy_is_found(self) -> None:
        for name in b"Via", b"FORWARDED", b"x-forwarded-host", b"X-Real-IP", b"CF-Connecting-IP":
            found = header_of_proxy(Headers({b"Host": [b"localhost"], name: [b"x"]}))
            self.assertEqual(found.lower().encode(), name.lower())

    def test_those_of_a_client_are_none(self) -> None:
        names = b"Host", b"Origin", b"User-Agent", b"X-Requested-With", b"X-Forwarded", b"Cookie"
        self.assertEqual(header_of_proxy(Headers({name: [b"x"] for name in names})), "")
