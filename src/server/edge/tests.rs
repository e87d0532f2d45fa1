//! What the edge answers when the routes do not, or break.

use std::task::Poll;

use http_body_util::BodyExt as _;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::*;
use crate::operation::Catalogue;

const READ: &str = "/trolley.v1.WebhookService/ListWebhooks";
const IDEMPOTENT: &str = "/trolley.v1.WidgetService/UpdateWidgetConfig";
const WRITE_ONCE: &str = "/trolley.v1.WebhookService/CreateWebhook";
const OWN: &str = "/gateway.v1.PartnerService/ListPartners";
const TIMEOUT: Duration = Duration::from_millis(300);

fn refusals(path: &str) -> Refusals {
    let operation = Catalogue::embedded().unwrap().by_path(path);
    Refusals { id: Uuid::now_v7(), report: Report::default(), operation }
}

/// What the edge makes of routes that answer with `service`, and after how long.
async fn routed<F>(path: &str, service: fn() -> F) -> (Status, Duration)
where
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let service = tower::service_fn(move |_: Request<axum::body::Body>| async move {
        Ok::<_, Infallible>(service().await)
    });
    let (start, refusals) = (Instant::now(), refusals(path));
    let arrival = Arrival {
        id: refusals.id,
        time: start,
        timeout: TIMEOUT,
        caller: Caller::anonymous(),
        previous_attempts: 0,
        report: refusals.report.clone(),
    };
    let routes = axum::Router::new().fallback_service(service);
    let request = Request::new(Body::empty());
    let response = route(routes, request, arrival, TIMEOUT, &refusals).await;
    (Status::from_header_map(response.headers()).unwrap(), start.elapsed())
}

fn assert_lost(status: &Status, path: &str) {
    let (outcome, pushback) = match path {
        WRITE_ONCE => (Some("UNKNOWN"), Some("-1")),
        IDEMPOTENT => (Some("UNKNOWN"), None),
        _ => (None, None),
    };
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.metadata.get("outcome").map(String::as_str), outcome, "{path}");
    assert_eq!(info.metadata.get("attempts"), None, "{path}: nobody knows");
    let told = status.metadata().get("grpc-retry-pushback-ms");
    assert_eq!(told.map(|value| value.to_str().unwrap()), pushback, "{path}");
}

#[tokio::test(start_paused = true)]
async fn g3_g4_a_call_that_the_edge_gives_up_tells_that_a_write_may_have_been_done() {
    for path in [READ, IDEMPOTENT, WRITE_ONCE, OWN] {
        let (status, elapsed) = routed(path, std::future::pending).await;
        assert_eq!(elapsed, TIMEOUT + GRACE, "{path}");
        assert_eq!(status.code(), Code::DeadlineExceeded, "{path}");
        assert_eq!(status.get_details_error_info().unwrap().reason, "DEADLINE_EXCEEDED");
        assert_lost(&status, path);
    }
}

#[tokio::test(start_paused = true)]
async fn s25_a_panic_of_the_routes_is_internal() {
    for path in [READ, IDEMPOTENT, WRITE_ONCE, OWN] {
        let (status, _) = routed(path, || async { panic!("a bug") }).await;
        assert_eq!(status.code(), Code::Internal, "{path}");
        assert_eq!(status.get_details_error_info().unwrap().reason, "INTERNAL");
        assert_lost(&status, path);
    }
}

/// The body of an answer that has begun: its status can only be in the trailers.
#[tokio::test(start_paused = true)]
async fn s25_a_panic_while_an_answer_is_written_ends_it_with_internal() {
    struct Broken;
    impl http_body::Body for Broken {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<http_body::Frame<Bytes>, Status>>> {
            panic!("a bug")
        }
    }
    let limits =
        Limits { deadline: None, closing: CancellationToken::new(), random: Random::system() };
    let held = (Activity::default().begin(), None);
    let bounded = Bounded::new(Body::new(Broken), refusals(READ), limits, held);

    let collected = bounded.collect().await.unwrap();

    let status = Status::from_header_map(collected.trailers().unwrap()).unwrap();
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(status.get_details_error_info().unwrap().reason, "INTERNAL");
}

#[test]
fn g33_previous_attempts_are_counted_as_far_as_numbers_go() {
    for (text, expected) in [
        (None, 0),
        (Some(""), 0),
        (Some("0"), 0),
        (Some("3"), 3),
        (Some("007"), 7),
        (Some("4294967295"), u32::MAX),
        (Some("4294967296"), u32::MAX),
        (Some("99999999999999999999999"), u32::MAX),
        (Some("-1"), 0),
        (Some("+1"), 0),
        (Some("1.5"), 0),
        (Some("many"), 0),
    ] {
        let mut headers = HeaderMap::new();
        if let Some(text) = text {
            headers.insert(PREVIOUS_ATTEMPTS, text.parse().unwrap());
        }
        assert_eq!(previous_attempts(&headers), expected, "{text:?}");
    }
}
