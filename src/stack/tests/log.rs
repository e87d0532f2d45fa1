//! What is logged of a call, and what must never be.

use std::io;
use std::sync::Mutex;

use tracing_subscriber::fmt::format::FmtSpan;

use super::*;

/// Keeps everything that is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What `work` gives, and all that it logs.
async fn logged<T>(work: impl Future<Output = T>) -> (T, String) {
    let log = Log::default();
    let sink = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::CLOSE)
        .with_ansi(false)
        .with_writer(move || sink.clone())
        .finish();
    // With just one subscriber, tracing lets whichever thread meets an event first decide
    // for all whether it is logged.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    // For the whole thread, which is the test's own: a write runs as a task.
    let _subscribed = tracing::subscriber::set_default(subscriber);
    let result = work.await;
    let bytes = log.0.lock().unwrap().clone();
    (result, String::from_utf8(bytes).unwrap())
}

#[tokio::test]
async fn o12_neither_log_nor_error_shows_a_secret_that_the_partner_repeats() {
    let work = async {
        let setting = given(|request, number| match is_token(request) {
            true => token(number),
            // What came with the request is sent back as the error's text.
            false => {
                let echo = serde_json::json!({ "code": "wrong", "message": request.head });
                Act::Send(answer(400, "", echo.to_string()))
            }
        })
        .await;
        let mut errors = String::new();
        for call in [bearer_call(), call()] {
            let error = setting.call(call).await.unwrap_err();
            errors.push_str(&format!("{error} {error:?}"));
        }
        errors
    };
    let (errors, log) = logged(work).await;
    assert!(errors.contains("[redacted]") && !errors.contains("canary"), "{errors}");
    assert!(log.contains("gateway.attempt=1"), "{log}");
    assert_eq!(log.lines().find(|line| line.contains("canary")), None);
}

#[tokio::test]
async fn the_span_of_an_attempt_tells_what_came_of_it() {
    let setting = given(|_, _| Act::Send(answer(404, "x-request-id: theirs-2\r\n", ""))).await;
    let (result, log) = logged(setting.call(call())).await;
    assert_eq!(result.unwrap_err().partner_request_id(), Some("theirs-2"));
    for part in [
        "attempt{otel.name=\"POST /things\" otel.kind=\"client\" gateway.attempt=1",
        "gateway.partner=\"example\"",
        "http.request.method=\"POST\" url.template=\"/things\" server.address=\"127.0.0.1\"",
        "gateway.outcome=\"REJECTED\"",
        "http.response.status_code=404",
        "error.type=\"404\"",
        "gateway.partner_request_id=\"theirs-2\"",
    ] {
        assert!(log.contains(part), "{part} in {log}");
    }
}

#[tokio::test]
async fn s14_a_key_that_cannot_be_kept_is_warned_of_without_its_values() {
    let reply = r#"{"account":"S-canary","access":"ak-canary"}"#;
    let setting = given(move |_, _| Act::Send(answer(200, "", reply))).await;
    let (result, log) = logged(setting.call(call())).await;
    assert!(result.is_ok(), "the caller has the key");
    let warning = log.lines().find(|line| line.contains("WARN")).unwrap_or_default();
    assert!(warning.contains("KEY_UNREADABLE") && warning.contains("intent="), "{log}");
    assert!(!warning.contains("canary"), "{warning}");
}

#[tokio::test]
async fn a_reply_without_a_key_is_not_warned_of() {
    let setting = given(|_, _| done()).await;
    let (result, log) = logged(setting.call(call())).await;
    assert!(result.is_ok() && !log.contains("WARN"), "{log}");
}
