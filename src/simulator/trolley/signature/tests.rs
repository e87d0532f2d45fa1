use bytes::Bytes;
use http::{HeaderMap, Method};

use super::*;

const TIME: i64 = 1_709_586_704;
const HOOK: &str = r#"{"action":"updated","model":"payment","target":"https://example.com/hook"}"#;

#[rustfmt::skip]
const VECTORS: [(&str, &str, &str, &str); 8] = [
    ("GET", "/v1/subscriptions", "", "bd4645e0a26bd13963cca5ca5956d7c099d5cb7f13d353e0ea9ec4203c1eaabc"),
    ("POST", "/v1/subscriptions", HOOK, "2779318d537055e95d0fc51d21c25dcdbf7b223f417ddead4f4a74040b1a05dd"),
    ("DELETE", "/v1/profile/sandbox", r#"{"id":"M-C7AsydAeAqW3husDNHSAND"}"#, "6d144adf062d43a19e59815161f955aab0b1935587c9df4aa6a5170b1a9ce576"),
    ("GET", "/v1/subscriptions?page=1&pageSize=10", "", "3635209c8f59cd775b2d5dacfcf5f20037eacf192757063befff1fb665f252a3"),
    ("POST", "/v1/direct-debit/bank-account/", r#"{"accountName":"Café Zoë"}"#, "238388f3d40ba6ca2ced6c968f23784c6bc11ffe2397b46c533cbecb8e8bded1"),
    ("DELETE", "/v1/subscriptions/WH-EXAMPLE", "", "d39a96d54f8d20bf0e7a781564694cfc80162984fa728ff600bbb62383e31523"),
    ("DELETE", "/v1/subscriptions/WH-EXAMPLE", "{}", "18dd14774e76962801f4c1838cacfb8e4ecfd13f58fc8a3d987fb6dae3974491"),
    ("POST", "/v1/profile/sandbox", "{}", "05012ce3dfbb3eb4ebef95aeac4eaf6238e1a96cf0df15f616c9de3be927c436"),
];

fn merchant() -> Merchant {
    Merchant::new("M-1".into(), "AKEXAMPLE".into(), "test-secret".into())
}

fn request(method: &str, target: &str, body: &str, authorization: &str) -> Received {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", authorization.parse().unwrap());
    headers.insert("x-pr-timestamp", TIME.into());
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (target.to_owned(), None),
    };
    let body = Bytes::copy_from_slice(body.as_bytes());
    Received { method: Method::from_bytes(method.as_bytes()).unwrap(), path, query, headers, body }
}

fn verdict(request: &Received, skew: i64) -> Result<(), Refused> {
    let known = merchant();
    let now = Timestamp::from_second(TIME + skew).unwrap();
    let find = |key: &str| (key == known.access_key).then_some(&known);
    verify(request, now, Duration::from_secs(30), find).map(|_| ())
}

#[test]
fn published_vectors_verify() {
    for (method, target, body, signature) in VECTORS {
        let request = request(method, target, body, &format!("prsign AKEXAMPLE:{signature}"));
        assert_eq!(verdict(&request, 0), Ok(()), "{method} {target} {body}");
    }
}

#[test]
fn a_lossy_spelling_of_the_body_does_not_verify() {
    let lossy = "5b9f82ad9816a986c5ee7caf88165ac5eae877274323ab592372ae5e5b8e7387";
    let (method, target, body, _) = VECTORS[4];
    let request = request(method, target, body, &format!("prsign AKEXAMPLE:{lossy}"));
    assert_eq!(verdict(&request, 0), Err(Refused::Mismatch));
}

#[test]
fn other_bytes_do_not_verify() {
    let (method, target, body, signature) = VECTORS[3];
    let header = format!("prsign AKEXAMPLE:{signature}");
    let others = [
        ("POST", target, body),
        (method, "/v1/subscriptions?pageSize=10&page=1", body),
        (method, "/v1/subscriptions", body),
        (method, target, "{}"),
    ];
    for (method, target, body) in others {
        let request = request(method, target, body, &header);
        assert_eq!(verdict(&request, 0), Err(Refused::Mismatch), "{method} {target}");
    }
}

#[test]
fn only_the_documented_form_is_read() {
    let (method, target, body, signature) = VECTORS[0];
    let upper = signature.to_uppercase();
    let cases = [
        (format!("Prsign AKEXAMPLE:{signature}"), Refused::Malformed),
        (format!("prsign  AKEXAMPLE:{signature}"), Refused::UnknownKey),
        (format!("prsign AKEXAMPLE {signature}"), Refused::Malformed),
        (format!("Bearer {signature}"), Refused::Malformed),
        (format!("prsign OTHER:{signature}"), Refused::UnknownKey),
        (format!("prsign AKEXAMPLE:{upper}"), Refused::Mismatch),
    ];
    for (header, refused) in cases {
        assert_eq!(verdict(&request(method, target, body, &header), 0), Err(refused), "{header}");
    }
    let mut unsigned = request(method, target, body, &format!("prsign AKEXAMPLE:{signature}"));
    unsigned.headers.insert("x-pr-timestamp", "+1709586704".parse().unwrap());
    assert_eq!(verdict(&unsigned, 0), Err(Refused::Malformed));
}

#[test]
fn a_signature_is_good_for_thirty_seconds_either_way() {
    let (method, target, body, signature) = VECTORS[0];
    let request = request(method, target, body, &format!("prsign AKEXAMPLE:{signature}"));
    for (skew, verdict_) in
        [(30, Ok(())), (-30, Ok(())), (31, Err(Refused::Stale)), (-31, Err(Refused::Stale))]
    {
        assert_eq!(verdict(&request, skew), verdict_, "{skew}");
    }
}

#[test]
fn webhook_vectors_match() {
    let body = r#"{"model":"merchant","action":"updated","body":{"merchant":{"id":42,"merchantId":"M-EXAMPLE","status":"approved"}}}"#;
    let empty = "1658c2c2b8eed2699c20f3803cb275e38cb2974b9a396a4f468e6a85deafb350";
    let merchant = "befc98cafe19eb4e23da7bdd5fe74d5ce6040ea62aa3f4080bd470ac899cfb85";
    let dotted = "3a7fcc922a141a52370f870bba8538d2e219bb474fee2403c2f9df6b4b565c88";
    assert_eq!(webhook("whsec-test", TIME, b"{}"), empty);
    assert_eq!(webhook("whsec-test", TIME, body.as_bytes()), merchant);
    assert_ne!(webhook("whsec-test", TIME, body.as_bytes()), dotted);
}
