//! A collector that gets everything, or fails: what is sent, and that no call waits for it.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use partner_gateway::config::Config;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};

use super::{LIST, Setting, endpoint, given};
use crate::support::collector::Collector;
use crate::support::kept::metrics;
use crate::support::page;

/// What is on the page of metrics is not older.
const LOOKED_UP: Duration = Duration::from_millis(1_050);

/// What is waiting when the program is told to stop is sent before it does.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_spans_are_sent_before_the_end() {
    let Some(collector) = Collector::start(&[]).await else { return };
    let mut setting = given(&endpoint(&collector), &[]).await;
    for _ in 0..20 {
        setting.client.call(LIST, json!({})).await.unwrap();
    }
    setting.process.signal("TERM").await;
    assert!(setting.process.ended().await.success());
    collector.until("all calls", |_| collector.spans(LIST).len() == 20).await;
    let started = collector
        .told()
        .iter()
        .any(|it| it["metric"] == "grpc.server.call.started" && it["value"] == 20);
    assert!(started, "the metrics were not sent: {:#?}", collector.told());
}

/// One that does not answer, one that is not there, one that is no collector, and one
/// that refuses: calls are answered, spans are lost and counted, and the program ends.
#[tokio::test(flavor = "multi_thread")]
async fn g42_a_collector_that_fails_holds_up_no_call() {
    // It takes connections and never reads from them.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let garbage = garbage().await;
    let mut endpoints =
        vec![silent.local_addr().unwrap().to_string(), nowhere.to_string(), garbage.to_string()];
    let refusing = Collector::start(&["--fail"]).await;
    endpoints.extend(refusing.iter().map(|it| format!("127.0.0.1:{}", it.port)));
    for endpoint in endpoints {
        let mut setting = given(&format!("http://{endpoint}"), &[]).await;
        calls(&setting, 200).await;
        let lost = async {
            while fate(&setting, "queue_full").await + fate(&setting, "failed").await == 0 {
                sleep(Duration::from_millis(200)).await;
            }
        };
        timeout(Duration::from_secs(30), lost).await.expect("no span was lost");
        assert_eq!(fate(&setting, "sent").await, 0, "{endpoint}");
        setting.process.signal("TERM").await;
        assert!(setting.process.ended().await.success(), "{endpoint}");
    }
}

/// How many spans came to this end, as far as is told.
async fn fate(setting: &Setting, fate: &str) -> u64 {
    let page = metrics(setting.process.operations).await;
    let series = format!(r#"partner_gateway_spans_total{{fate="{fate}"}}"#);
    page::value(&page, &series).unwrap_or_else(|| panic!("{series} is not in\n{page}"))
}

/// Makes so many calls at once, and none fails.
async fn calls(setting: &Setting, count: usize) {
    for answer in join_all((0..count).map(|_| setting.client.call(LIST, json!({})))).await {
        answer.unwrap();
    }
}

/// The queue is full long before the time of the first batch is over, and stays so: then a
/// call takes what it takes without a collector.
#[tokio::test(flavor = "multi_thread")]
async fn g42_a_silent_collector_costs_spans_and_no_time() {
    let silent = format!("http://{}", silent().await);
    let (told, untold) = tokio::join!(given(&silent, &[]), given("", &[]));
    // Four spans of each call, and 4096 may wait.
    let full = async {
        while fate(&told, "queue_full").await == 0 {
            calls(&told, 100).await;
        }
    };
    timeout(Duration::from_secs(60), full).await.expect("it is not full, or calls wait");
    calls(&untold, 100).await;
    sleep(LOOKED_UP).await;

    let before = fate(&told, "queue_full").await;
    let mut times = [Duration::ZERO; 2];
    // By turns, so that whatever else the machine does is in both.
    for _ in 0..10 {
        for (setting, time) in [&told, &untold].into_iter().zip(&mut times) {
            let begun = Instant::now();
            calls(setting, 50).await;
            *time += begun.elapsed();
        }
    }
    let [with, without] = times;
    // Who waits for a place in the queue waits for the collector, five seconds each time.
    assert!(with <= without * 3 + Duration::from_secs(2), "{with:?}, and {without:?} without");
    sleep(LOOKED_UP).await;
    assert!(fate(&told, "queue_full").await > before, "there was room");
    assert_eq!(fate(&told, "sent").await, 0);
}

/// A server that takes all that it is sent, and answers nothing.
#[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
async fn silent() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
            });
        }
    });
    address
}

/// A server that answers whatever it is sent with words of its own.
async fn garbage() -> SocketAddr {
    use tokio::io::AsyncWriteExt as _;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"what is this? who are you?\r\n\r\n").await;
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_is_spoken_to_over_tls_with_its_headers() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key, token) = (path("cert.pem"), path("key.pem"), path("headers"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    std::fs::write(&token, "x-tenant=canary-tenant, x-more=2\n").unwrap();
    let Some(collector) = Collector::start(&["--tls", &cert, &key]).await else { return };
    let endpoint = format!("https://localhost:{}", collector.port);
    let environment = [
        ("PARTNER_GATEWAY__TELEMETRY__OTLP_ROOT_CA_FILE", cert.as_str()),
        ("PARTNER_GATEWAY__TELEMETRY__OTLP_HEADERS_FILE", token.as_str()),
    ];
    let setting = given(&endpoint, &environment).await;
    setting.client.call(LIST, json!({})).await.unwrap();
    collector.until("the call", |told| told.iter().any(|it| it["span"] == LIST)).await;
    let headers = &collector.spans(LIST)[0]["headers"];
    assert_eq!((&headers["x-tenant"], &headers["x-more"]), (&json!("canary-tenant"), &json!("2")));
    let log = format!("{:?}", setting.process.log());
    assert!(!log.contains("canary"), "{log}");
}

#[test]
fn a_secret_for_the_collector_is_not_sent_in_the_clear_and_not_told() {
    let refused = |text: &str| {
        let text = format!("[telemetry]\n{text}");
        text.parse::<Config>().map(|it| it.to_string()).unwrap_err().to_string()
    };
    let headers = "otlp_headers = 'authorization=Bearer canary'\n";
    let fault = refused(&format!("{headers}otlp_endpoint = 'http://collector:4317'"));
    assert!(fault.contains("telemetry.otlp_endpoint: must be https"), "{fault}");
    let fault = refused("otlp_endpoint = 'https://us:canary@collector'");
    assert!(fault.contains("may hold no password") && !fault.contains("canary"), "{fault}");
    let fault = refused("otlp_headers = 'canary'");
    assert!(fault.contains("telemetry.otlp_headers: is not of the form"), "{fault}");
    assert!(!fault.contains("canary"), "{fault}");
    for (setting, problem) in [
        ("otlp_endpoint = 'collector'", "is not a URL"),
        ("otlp_endpoint = 'ftp://collector'", "must begin with"),
        ("trace_ratio = 1.5", "must be from 0 to 1"),
        ("trace_ratio = nan", "must be from 0 to 1"),
        ("otlp_metrics_interval = '0s'", "must be longer than 0s"),
        ("otlp_root_ca_file = '/nowhere'", "cannot be read"),
    ] {
        let fault = refused(setting);
        assert!(fault.contains(problem), "{setting}: {fault}");
    }
    let told = format!("[telemetry]\n{headers}otlp_endpoint = 'https://collector'");
    assert!(!told.parse::<Config>().unwrap().to_string().contains("canary"));
}
