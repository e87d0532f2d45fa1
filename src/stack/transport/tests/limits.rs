//! What of an answer is read, and what is not.

use std::io::Write as _;

use super::*;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn s12_a_compressed_body_is_limited_by_what_comes_out() {
    let fits = gzip(&[b'x'; 10_000]);
    let reply = after(move || Act::Send(answer(200, "content-encoding: gzip\r\n", &fits))).await;
    assert_eq!(reply.unwrap().body, Bytes::from(vec![b'x'; 10_000]));
    let bomb = gzip(&vec![0; 50_000_000]);
    let result = after(move || Act::Send(answer(200, "content-encoding: gzip\r\n", &bomb))).await;
    assert_eq!(judged(result), ("bad response", Outcome::Unknown));
}

#[tokio::test]
async fn s12_a_body_that_cannot_be_decompressed_is_a_bad_response() {
    let mut cut = gzip(&[b'x'; 5000]);
    cut.truncate(20);
    for bytes in [cut, b"no gzip".to_vec()] {
        let act = move || Act::Send(answer(200, "content-encoding: gzip\r\n", &bytes));
        assert_eq!(judged(after(act).await), ("bad response", Outcome::Unknown));
    }
}

#[tokio::test]
async fn s12_a_body_beyond_the_limit_is_not_read() {
    let exact = after(|| Act::Send(answer(200, "", [b'x'; 10_000]))).await.unwrap();
    assert_eq!(exact.body.len(), 10_000);
    let long = after(|| Act::Send(answer(200, "", [b'x'; 10_001]))).await;
    assert_eq!(judged(long), ("bad response", Outcome::Unknown));
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let part = b"4\r\nxxxx\r\n".repeat(100);
    let endless =
        after(move || Act::Repeat(head.clone(), part.clone(), Duration::from_millis(1))).await;
    assert_eq!(judged(endless), ("bad response", Outcome::Unknown));
}

#[tokio::test]
async fn s12_headers_beyond_the_limit_are_not_taken() {
    let line = format!("x-a: {}\r\n", "y".repeat(7_000)).repeat(10);
    let long = after(move || Act::Send(answer(200, &line, ""))).await;
    assert_eq!(judged(long), ("bad response", Outcome::Unknown));
    let head = b"HTTP/1.1 200 OK\r\n".to_vec();
    let lines = b"x-a: y\r\n".repeat(10_000);
    let endless =
        after(move || Act::Repeat(head.clone(), lines.clone(), Duration::from_millis(1))).await;
    assert_eq!(judged(endless), ("unreachable", Outcome::Unknown));
}
