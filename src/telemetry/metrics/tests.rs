//! What the page says of what was recorded.

use std::time::Duration;

use super::*;
use crate::operation::Catalogue;

fn operation() -> &'static Operation {
    Catalogue::embedded().unwrap().operations()[0]
}

/// The samples of a page without the histograms' buckets, in order.
fn samples(page: &str) -> Vec<&str> {
    let samples = page.lines().filter(|line| !line.starts_with('#') && !line.contains("_bucket{"));
    let mut samples: Vec<_> = samples.collect();
    samples.sort_unstable();
    samples
}

fn ended(method: &'static str) -> Ended {
    let duration = Duration::from_millis(1_500);
    Ended { method, status: "OK", received: 10, sent: 5_000, duration, trace: None }
}

/// One of everything that can be recorded.
fn fed() -> Metrics {
    let metrics = Metrics::default();
    let (operation, trace) = (operation(), Some(TraceId::from(0xab)));
    metrics.call_started("a.B/C");
    metrics.call_ended(&ended("a.B/C"));
    let spent = Spent { token: Duration::from_millis(2), ..Spent::default() };
    metrics.call_told(operation, "SUCCEEDED", &spent, trace);
    metrics.attempted(&Attempted {
        operation,
        host: "host",
        http_status: None,
        error_type: Some("TIMEOUT".to_owned()),
        outcome: "UNKNOWN",
        duration: Duration::from_secs(1),
        trace,
    });
    metrics.retried("example", "status");
    metrics.set_breaker_state("example", "read", "open", &["closed", "open"]);
    metrics.set_protection(
        "example",
        &Protection {
            retry_budget: 7,
            is_gate_closed: true,
            waiting: 1,
            in_flight: 2,
            concurrency: 3,
            rate_limited: 4,
            overloaded: 5,
        },
    );
    metrics.set_request_ids([("example", "UNKNOWN", 6)]);
    metrics.set_configuration_refused(true);
    metrics.set_store_up(true);
    metrics.set_journalled_keys(2);
    metrics.set_keyring_refused(true);
    metrics.set_key_intents(1, 3);
    metrics.set_credentials([("gone", "key_pair", 7)]);
    metrics.set_credentials([("example", "key_pair", 4)]);
    metrics.set_token_requests("example", "issued", 2);
    metrics.set_token_requests("example", "issued", 5);
    metrics.set_drift("example", 9);
    metrics.process_started(Timestamp::from_second(1_700_000_000).unwrap());
    metrics
}

#[test]
fn r20_the_page_has_what_was_recorded() {
    let page = fed().page(Format::OpenMetrics).unwrap();
    let samples = samples(&page);
    for expected in [
        r#"grpc_server_call_duration_seconds_count{grpc_method="a.B/C",grpc_status="OK"} 1"#,
        r#"grpc_server_call_duration_seconds_sum{grpc_method="a.B/C",grpc_status="OK"} 1.5"#,
        r#"grpc_server_call_rcvd_total_compressed_message_size_bytes_sum{grpc_method="a.B/C",grpc_status="OK"} 10.0"#,
        r#"grpc_server_call_sent_total_compressed_message_size_bytes_sum{grpc_method="a.B/C",grpc_status="OK"} 5000.0"#,
        r#"grpc_server_call_started_total{grpc_method="a.B/C"} 1"#,
        r#"partner_gateway_breaker_state{partner="example",effect="read",state="closed"} 0"#,
        r#"partner_gateway_breaker_state{partner="example",effect="read",state="open"} 1"#,
        r#"partner_gateway_concurrency_limit{partner="example"} 3"#,
        r#"partner_gateway_credentials{partner="example",kind="key_pair"} 4"#,
        r#"partner_gateway_drift_total{partner="example"} 9"#,
        r#"partner_gateway_gate_closed{partner="example"} 1"#,
        r#"partner_gateway_in_flight{partner="example"} 2"#,
        "partner_gateway_journalled_keys 2",
        r#"partner_gateway_key_intents{state="flagged"} 3"#,
        r#"partner_gateway_key_intents{state="open"} 1"#,
        "partner_gateway_configuration_refused 1",
        "partner_gateway_keyring_refused 1",
        r#"partner_gateway_refusals_total{partner="example",reason="overloaded"} 5"#,
        r#"partner_gateway_refusals_total{partner="example",reason="rate_limited"} 4"#,
        r#"partner_gateway_request_ids{partner="example",state="UNKNOWN"} 6"#,
        r#"partner_gateway_queue_waiting{partner="example"} 1"#,
        r#"partner_gateway_retries_total{partner="example",reason="status"} 1"#,
        r#"partner_gateway_retry_budget{partner="example"} 7"#,
        "partner_gateway_store_up 1",
        r#"partner_gateway_token_requests_total{partner="example",outcome="issued"} 5"#,
        "process_start_time_seconds 1700000000",
    ] {
        assert!(samples.contains(&expected), "{expected} is not in\n{}", samples.join("\n"));
    }
    assert!(!page.contains("gone"), "{page}");
}

/// An answer that never came has no status, so it has no label of one.
#[test]
fn r20_a_request_without_an_answer_is_told_by_its_failure() {
    let page = fed().page(Format::Text).unwrap();
    let (operation, rpc) = (operation(), operation().rpc());
    let (verb, path) = (operation.verb.as_str(), operation.path.as_str());
    for expected in [
        format!(
            r#"http_client_request_duration_seconds_count{{http_request_method="{verb}",server_address="host",url_template="{path}",error_type="TIMEOUT"}} 1"#
        ),
        format!(
            r#"partner_gateway_attempts_total{{partner="{}",rpc="{rpc}",outcome="UNKNOWN"}} 1"#,
            operation.partner
        ),
        format!(
            r#"partner_gateway_call_phase_seconds_count{{partner="{}",phase="token"}} 1"#,
            operation.partner
        ),
    ] {
        assert!(page.contains(&expected), "{expected} is not in\n{page}");
    }
    assert!(!page.contains(r#"phase="queue""#), "a phase that was not");
}

/// The bounds of gRFC A66, word by word.
#[test]
fn g42_the_buckets_are_those_of_the_grfc() {
    let metrics = Metrics::default();
    metrics.call_ended(&ended("a.B/C"));
    let page = metrics.page(Format::Text).unwrap();
    let bounds = |family: &str| {
        let lines = page.lines().filter(|line| line.starts_with(&format!("{family}_bucket{{")));
        let bound =
            |line: &str| line.split("le=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        lines
            .map(bound)
            .filter(|bound| bound != "+Inf")
            .map(|b| b.parse::<f64>().unwrap())
            .collect::<Vec<_>>()
    };
    let seconds = "0 0.00001 0.00005 0.0001 0.0003 0.0006 0.0008 0.001 0.002 0.003 0.004 0.005 \
        0.006 0.008 0.01 0.013 0.016 0.02 0.025 0.03 0.04 0.05 0.065 0.08 0.1 0.13 0.16 0.2 0.25 \
        0.3 0.4 0.5 0.65 0.8 1 2 5 10 20 50 100";
    let bytes = "0 1024 2048 4096 16384 65536 262144 1048576 4194304 16777216 67108864 268435456 \
        1073741824 4294967296";
    let numbers =
        |text: &str| text.split_whitespace().map(|n| n.parse::<f64>().unwrap()).collect::<Vec<_>>();
    assert_eq!(bounds("grpc_server_call_duration_seconds"), numbers(seconds));
    for size in ["sent", "rcvd"] {
        let family = format!("grpc_server_call_{size}_total_compressed_message_size_bytes");
        assert_eq!(bounds(&family), numbers(bytes));
    }
}

#[test]
fn exemplars_are_of_calls_whose_trace_is_kept_and_on_openmetrics_pages_only() {
    let metrics = Metrics::default();
    metrics.call_ended(&ended("a.B/Unkept"));
    metrics.call_ended(&Ended { trace: Some(TraceId::from(0xab)), ..ended("a.B/Kept") });
    let page = metrics.page(Format::OpenMetrics).unwrap();
    let exemplars: Vec<_> = page.lines().filter(|line| line.contains(" # {")).collect();
    assert!(!exemplars.is_empty(), "{page}");
    for line in exemplars {
        assert!(line.contains("a.B/Kept") && line.contains(&format!("trace_id=\"{:032x}\"", 0xab)));
    }
    assert!(!metrics.page(Format::Text).unwrap().contains("trace_id"));
}

#[test]
fn every_metric_that_is_declared_can_be_fed() {
    let metrics = fed();
    metrics.look_at_process();
    let page = metrics.page(Format::Text).unwrap();
    let on_page: Vec<_> =
        page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    for declared in metrics.declared() {
        let name = declared.prometheus();
        // Only a process that exports has spans to count.
        assert!(on_page.contains(&&*name) || name == "partner_gateway_spans_total", "{name}");
    }
}

#[test]
fn what_nothing_feeds_is_not_on_the_page() {
    let page = Metrics::default().page(Format::Text).unwrap();
    assert_eq!(page, "");
}

#[test]
fn whoever_asks_for_openmetrics_gets_it() {
    let prometheus =
        "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
    assert_eq!(Format::accepted("*/*"), Format::Text);
}
