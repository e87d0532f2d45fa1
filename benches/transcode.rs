//! The transcoder against typed code: prost structs with derived serde.
//!
//! `cargo bench --bench transcode` prints nanoseconds and the ratio `ours/typed` for
//! a reply (JSON to message) and a request (message to JSON), each of one object with
//! 45 fields and of a list with a thousand of them. Both sides take turns in one run,
//! so that a machine's moods touch both. A benchmark, not a test: it never fails.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a tool that prints, or stops")]
#![allow(missing_docs, unreachable_pub, reason = "a tool of its own")]

#[path = "transcode/typed.rs"]
mod typed;

use std::hint::black_box;
use std::time::Duration;

use partner_gateway::operation::{Catalogue, Operation};
use partner_gateway::transcode;
use tokio::time::Instant;

use typed::{Payment, Payments};

const ROUNDS: usize = 60;
const ROUND: Duration = Duration::from_millis(8);
const LIST: usize = 1000;

fn main() {
    let catalogue = catalogue();
    let operation = |name: &str| catalogue.by_path(&format!("/bench.v1.BenchService/{name}"));
    let compact: serde_json::Value =
        serde_json::from_str(include_str!("transcode/payment.json")).unwrap();
    let one = serde_json::from_value::<Payment>(compact).unwrap();
    let many = Payments { payments: vec![one.clone(); LIST] };
    println!(
        "{:<22}{:>12}{:>12}{:>8}{:>12}{:>12}{:>8}",
        "", "ours", "typed", "ratio", "ours", "typed", "ratio"
    );
    println!("{:<22}{:>32}{:>32}", "", "least ns", "median ns");
    compare(operation("PutOne").unwrap(), "45 fields", &one);
    compare(operation("PutMany").unwrap(), "1,000 of 45 fields", &many);
}

fn compare<M>(operation: &'static Operation, size: &str, message: &M)
where
    M: prost::Message + Default + serde::Serialize + for<'de> serde::Deserialize<'de>,
{
    let bytes = message.encode_to_vec();
    let json = serde_json::to_vec(message).unwrap();
    let request = transcode::request(operation, &bytes).unwrap();
    let sent: serde_json::Value = serde_json::from_slice(&request.body.unwrap().bytes).unwrap();
    assert_eq!(sent, serde_json::from_slice::<serde_json::Value>(&json).unwrap());
    let decoded = transcode::reply(operation, &json, &[]).unwrap();
    assert_eq!(decoded.message, bytes);

    report(
        &format!("reply, {size}"),
        || transcode::reply(operation, black_box(&json), &[]).unwrap().message,
        || serde_json::from_slice::<M>(black_box(&json)).unwrap().encode_to_vec(),
    );
    report(
        &format!("request, {size}"),
        || transcode::request(operation, black_box(&bytes)).unwrap(),
        || serde_json::to_vec(&M::decode(black_box(bytes.as_slice())).unwrap()).unwrap(),
    );
}

fn report<A, B>(what: &str, mut ours: impl FnMut() -> A, mut typed: impl FnMut() -> B) {
    let ours_calls = calls(&mut ours);
    let typed_calls = calls(&mut typed);
    let (mut of_ours, mut of_typed) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        of_ours.push(round(ours_calls, &mut ours));
        of_typed.push(round(typed_calls, &mut typed));
    }
    let ((a, b), (c, d)) = (statistics(of_ours), statistics(of_typed));
    println!("{what:<27}{a:>9.0}{c:>10.0}{:>8.2}{b:>12.0}{d:>12.0}{:>8.2}", a / c, b / d);
}

/// How many calls fill a round.
fn calls<T>(call: &mut impl FnMut() -> T) -> u32 {
    let start = Instant::now();
    let mut calls = 0;
    while start.elapsed() < ROUND {
        black_box(call());
        calls += 1;
    }
    calls
}

/// The nanoseconds of one call in a round of many.
fn round<T>(calls: u32, call: &mut impl FnMut() -> T) -> f64 {
    let start = Instant::now();
    for _ in 0..calls {
        black_box(call());
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
}

/// The least and the median.
fn statistics(mut rounds: Vec<f64>) -> (f64, f64) {
    rounds.sort_by(f64::total_cmp);
    let of = |index: usize| rounds.get(index).copied().unwrap_or(f64::NAN);
    (of(0), of(rounds.len() / 2))
}

fn catalogue() -> Catalogue {
    let root = env!("CARGO_MANIFEST_DIR");
    let folders = [format!("{root}/benches/transcode"), format!("{root}/proto")];
    let mut compiler = protox::Compiler::new(folders).unwrap();
    compiler.include_imports(true).open_file("contract.proto").unwrap();
    Catalogue::from_pool(&compiler.descriptor_pool()).unwrap()
}
