use super::*;

#[test]
fn s10_only_addresses_of_the_public_internet_are_public() {
    for text in ["1.1.1.1", "100.63.0.1", "100.128.0.1", "172.32.0.1", "198.20.0.1", "223.1.2.3"] {
        assert!(is_public(text.parse().unwrap()), "{text}");
    }
    for text in ["2606:4700::1111", "2001:200::1", "64:ff9b::101:101", "3fff:1000::1"] {
        assert!(is_public(text.parse().unwrap()), "{text}");
    }
    for text in [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:1.1.1.1",
        "::7f00:1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:a00:1::1",
        "3fff::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ] {
        assert!(!is_public(text.parse().unwrap()), "{text}");
    }
}

#[test]
fn s10_base_urls_are_https_to_public_places() {
    for (text, is_fine, is_fine_if_private) in [
        ("https://api.example.com", true, true),
        ("https://api.example.com:8443/prefix/", true, true),
        ("https://1.1.1.1", true, true),
        ("http://api.example.com", false, true),
        ("http://localhost:9400/x", true, true),
        ("http://127.0.0.1:9400/x", true, true),
        ("http://[::1]:9400", true, true),
        ("http://0x7f.1/", true, true),
        ("http://127.1/", true, true),
        ("https://10.0.0.1", false, true),
        ("https://169.254.169.254", false, true),
        ("https://0xa9fea9fe", false, true),
        ("https://[::ffff:127.0.0.1]", false, true),
        ("https://0.0.0.0", false, true),
        ("http://localhost.example.com", false, true),
        ("ftp://api.example.com", false, false),
        ("https://user@api.example.com", false, false),
        ("https://api.example.com?x=1", false, false),
        ("https://api.example.com/#x", false, false),
        ("https://", false, false),
        ("api.example.com", false, false),
        ("", false, false),
    ] {
        assert_eq!(BaseUrl::parse(text, false).is_ok(), is_fine, "{text}");
        assert_eq!(BaseUrl::parse(text, true).is_ok(), is_fine_if_private, "{text} if private");
    }
}

#[test]
fn a_target_is_sent_exactly_as_it_is_or_not_at_all() {
    let base = BaseUrl::parse("https://api.example.com:443/v9/", false).unwrap();
    for target in ["/a", "/a/", "/a%20b?c=d%2Fe&f=%27", "/a%2Fb", "//", "/a?", "/~x;y=1,2"] {
        let url = base.join(target).unwrap();
        assert_eq!(url.as_str(), format!("https://api.example.com/v9{target}"));
    }
    for target in [
        "",
        "a",
        ".evil.com/",
        "@evil.com/",
        ":1/",
        "/a b",
        "/a/../b",
        "/%2e%2e/b",
        "/a\tb",
        "/é",
        "/a#b",
        "/a\\b",
        "/a?b c",
        "/a?'",
        "?a",
    ] {
        assert!(base.join(target).is_err(), "{target:?}");
    }
}

#[test]
fn s10_a_name_must_stand_for_a_public_address() {
    let resolver = Resolver::new(false, Some("proxy.internal".to_owned()));
    let has = |name: &str, address: &str| {
        resolver.allowed(name).has(&SocketAddr::new(address.parse().unwrap(), 0))
    };
    assert!(has("api.example.com", "1.1.1.1"));
    assert!(!has("api.example.com", "169.254.169.254"));
    assert!(!has("api.example.com", "::ffff:127.0.0.1"));
    assert!(!has("api.example.com", "0.0.0.0"));
    assert!(has("localhost", "127.0.0.1"));
    assert!(!has("localhost", "10.0.0.1"));
    assert!(!has("localhost", "1.1.1.1"));
    assert!(has("proxy.internal", "10.0.0.1"));
    let resolver = Resolver::new(true, None);
    assert_eq!(resolver.allowed("api.example.com"), Allowed::Any);
}

#[tokio::test]
async fn s10_a_name_without_a_usable_address_is_not_resolved() {
    // Every machine knows this name, under which no public address is found.
    let resolver = Resolver { allow_private_addresses: false, proxy_host: None };
    let refused = resolver.resolve("localhost.".parse().unwrap()).await;
    assert!(refused.is_err());
    let found = resolver.resolve("localhost".parse().unwrap()).await.unwrap();
    assert!(found.into_iter().all(|address| address.ip().is_loopback()));
}
