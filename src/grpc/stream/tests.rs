//! Streams of a contract that no partner has, read with tonic's own client.

use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use http::{HeaderMap, StatusCode, Uri};
use tonic::client::Grpc;
use tonic::{Code, Streaming};
use tonic_types::StatusExt as _;
use tower::service_fn;
use tower::util::{BoxCloneSyncService, MapRequest};

use super::*;
use crate::call::{Call, Reply};
use crate::error::{Kind, Outcome};
use crate::grpc::codec::BytesCodec;
use crate::grpc::{Operations, PartnerSide};
use crate::operation::Catalogue;
use crate::stack;
use crate::stack::testing::{Example, context};
use crate::transcode::page::{integer, with_integer};

mod wire;

/// The test contract of the transcoder, whose partner is "test".
static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
    let root = env!("CARGO_MANIFEST_DIR");
    let folders = [format!("{root}/src/transcode/tests"), format!("{root}/proto")];
    let mut compiler = protox::Compiler::new(folders).unwrap();
    compiler.include_imports(true).open_file("contract.proto").unwrap();
    Catalogue::from_pool(&compiler.descriptor_pool()).unwrap()
});

const IDS: &str = "/test.v1.TestService/StreamEvents";
const NUMBERS: &str = "/test.v1.TestService/StreamSearch";
/// The fields of both requests.
const BEFORE: u32 = 1;
const AFTER: u32 = 2;
const PAGE: u32 = 4;

/// A partner that answers by script, and what it was asked.
#[derive(Clone, Default)]
struct Partner {
    asked: Arc<Mutex<Vec<String>>>,
    status: Arc<crate::partner::Status>,
}

impl Partner {
    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Streams `path`; each page is answered by `script`, which is given its target.
    async fn stream(
        &self,
        path: &'static str,
        request: Vec<u8>,
        script: impl Fn(&str) -> Result<String, Kind> + Clone + Send + Sync + 'static,
    ) -> Result<Streaming<Bytes>, Status> {
        let asked = Arc::clone(&self.asked);
        let stack = service_fn(move |call: Call| {
            asked.lock().unwrap().push(call.target.clone());
            let answer = script(&call.target);
            async move {
                let failed = |kind| Error::new(kind, Outcome::Rejected).with_attempts(1);
                Ok(Reply {
                    attempts: 1,
                    ..Reply::new(StatusCode::OK, HeaderMap::new(), answer.map_err(failed)?.into())
                })
            }
        });
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let settings = stack::Settings::new("https://api.example.com");
        let unused = stack::build(Arc::new(Example), settings, &context().await).unwrap();
        let side = PartnerSide {
            stack: BoxCloneSyncService::new(stack),
            host: "api.example.com".to_owned(),
            status: Arc::clone(&self.status),
            state: unused.state,
            authenticator: unused.authenticator,
            return_secrets: true,
        };
        let gateway = Arc::new(Gateway::new([("test".to_owned(), side)].into()));
        let operations = Operations::new(&CATALOGUE, gateway, usize::MAX);
        let service = MapRequest::new(operations, |mut request: http::Request<Body>| {
            let arrival = crate::grpc::testing::arrival(Duration::from_secs(9));
            request.extensions_mut().insert(arrival);
            request
        });
        let mut grpc = Grpc::new(service);
        let request = Request::new(Bytes::from(request));
        let path = path.parse::<Uri>().unwrap().into_parts().path_and_query.unwrap();
        Ok(grpc.server_streaming(request, path, BytesCodec).await?.into_inner())
    }
}

/// The ids of all that is streamed, the status that ends it, and the trailers.
async fn read(mut stream: Streaming<Bytes>) -> (Vec<i64>, Option<Status>, Option<String>) {
    let mut ids = Vec::new();
    loop {
        match stream.message().await {
            Ok(Some(element)) => ids.push(integer(&element, 4).unwrap()),
            Ok(None) => break,
            Err(status) => return (ids, Some(status), None),
        }
    }
    let trailers = stream.trailers().await.unwrap().unwrap_or_default();
    let attempts = trailers.get("x-gateway-attempts").map(|v| v.to_str().unwrap().to_owned());
    (ids, None, attempts)
}

/// An array of events with these ids.
fn events(ids: &[i64]) -> String {
    let events: Vec<_> = ids.iter().map(|id| format!("{{\"id\":{id},\"name\":\"n\"}}")).collect();
    format!("[{}]", events.join(","))
}

/// The number that the query of a target has for `name`.
fn parameter(target: &str, name: &str) -> Option<i64> {
    let (_, query) = target.split_once('?')?;
    let value = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")))?;
    value.parse().ok()
}

/// Events 1 to `last`, newest first, three a page.
fn newest_first(last: i64) -> impl Fn(&str) -> Result<String, Kind> + Clone + Send + Sync {
    move |target| {
        let before = parameter(target, "beforeId").unwrap_or(last + 1);
        let ids: Vec<_> = (1..before).rev().take(3).collect();
        Ok(events(&ids))
    }
}

#[tokio::test]
async fn all_pages_are_one_stream() {
    let partner = Partner::default();
    let request = with_integer(&[], 3, 3);
    let stream = partner.stream(IDS, request, newest_first(7)).await.unwrap();
    let (ids, status, attempts) = read(stream).await;
    assert_eq!((ids, status.is_none()), ((1..=7).rev().collect(), true));
    assert_eq!(attempts.as_deref(), Some("4"));
    let expected = ["", "beforeId=5&", "beforeId=2&", "beforeId=1&"];
    assert_eq!(partner.asked(), expected.map(|cursor| format!("/events?{cursor}limit=3")));
}

#[tokio::test]
async fn a_bound_below_ends_the_stream() {
    let partner = Partner::default();
    let request = with_integer(&with_integer(&[], AFTER, 2), BEFORE, 7);
    let stream = partner.stream(IDS, request, newest_first(9)).await.unwrap();
    assert_eq!(read(stream).await.0, [6, 5, 4, 3]);
    assert_eq!(partner.asked(), ["/events?beforeId=7", "/events?beforeId=4"]);
}

#[tokio::test]
async fn numbered_pages_end_with_the_last() {
    let partner = Partner::default();
    let script = |target: &str| {
        let page = parameter(target, "page").unwrap();
        Ok(format!("{{\"data\":{},\"totalPages\":4,\"new\":1}}", events(&[page * 10, 1])))
    };
    let stream = partner.stream(NUMBERS, with_integer(&[], PAGE, 3), script).await.unwrap();
    assert_eq!(read(stream).await.0, [30, 1, 40, 1]);
    assert_eq!(partner.asked(), ["/search?page=3", "/search?page=4"]);
    // What stands beside the elements is in none of them, and is counted.
    assert_eq!(partner.status.drift(), 2);
}

#[tokio::test]
async fn an_empty_list_is_an_empty_stream() {
    for (path, answer) in
        [(IDS, "[]"), (NUMBERS, r#"{"data":[],"totalPages":0}"#), (NUMBERS, r#"{"totalPages":1}"#)]
    {
        let partner = Partner::default();
        let stream = partner.stream(path, Vec::new(), move |_| Ok(answer.to_owned())).await;
        assert_eq!(read(stream.unwrap()).await.0, [0i64; 0], "{answer}");
        assert_eq!(partner.asked().len(), 1);
    }
}

/// What a stream told before it failed stays told; its status says where to go on.
#[tokio::test]
async fn a_page_that_fails_ends_the_stream_and_tells_where_to_resume() {
    let partner = Partner::default();
    let script = |target: &str| match parameter(target, "beforeId") {
        Some(2) => Err(Kind::Unreachable),
        _ => newest_first(7)(target),
    };
    let stream = partner.stream(IDS, Vec::new(), script).await.unwrap();
    let (ids, status, _) = read(stream).await;
    assert_eq!(ids, [7, 6, 5, 4, 3, 2]);
    let status = status.unwrap();
    assert_eq!(status.code(), Code::Unavailable);
    let info = status.get_details_error_info().unwrap();
    assert_eq!((&*info.reason, &*info.metadata["resume_after"]), ("PARTNER_UNAVAILABLE", "2"));
    assert_eq!((&*info.metadata["attempts"], &*info.metadata["rpc"]), ("3", &IDS[1..]));
    assert_eq!(status.metadata().get("x-gateway-attempts").unwrap(), "3");

    let resumed = with_integer(&[], BEFORE, 2);
    let stream = Partner::default().stream(IDS, resumed, newest_first(7)).await.unwrap();
    assert_eq!(read(stream).await.0, [1]);
}

#[tokio::test]
async fn a_numbered_page_that_fails_tells_its_number() {
    let script = |target: &str| match parameter(target, "page") {
        Some(2) => Err(Kind::Timeout),
        _ => Ok(format!("{{\"data\":{},\"totalPages\":4}}", events(&[1]))),
    };
    let stream = Partner::default().stream(NUMBERS, Vec::new(), script).await.unwrap();
    let (ids, status, _) = read(stream).await;
    let status = status.unwrap();
    assert_eq!((ids, status.code()), (vec![1], Code::DeadlineExceeded));
    assert_eq!(status.get_details_error_info().unwrap().metadata["resume_page"], "2");
}

/// What should have stood there would be left out unseen.
#[tokio::test]
async fn an_empty_page_before_the_last_ends_the_stream_with_an_error() {
    let script = |target: &str| match parameter(target, "page") {
        Some(2) => Ok(r#"{"data":[],"totalPages":3}"#.to_owned()),
        _ => Ok(r#"{"data":[{"id":1}],"totalPages":3}"#.to_owned()),
    };
    let stream = Partner::default().stream(NUMBERS, Vec::new(), script).await.unwrap();
    let (ids, status, _) = read(stream).await;
    let status = status.unwrap();
    assert_eq!((ids, status.code()), (vec![1], Code::Internal));
    let info = status.get_details_error_info().unwrap();
    assert_eq!((&*info.reason, &*info.metadata["resume_page"]), ("PARTNER_BAD_RESPONSE", "2"));

    for answer in [r#"{"data":[],"totalPages":9}"#, r#"{"data":null}"#] {
        let partner = Partner::default();
        let stream = partner.stream(NUMBERS, Vec::new(), move |_| Ok(answer.to_owned())).await;
        assert_eq!(stream.unwrap_err().code(), Code::Internal, "{answer}");
    }
}

#[tokio::test]
async fn a_stream_that_cannot_begin_fails_at_once() {
    let partner = Partner::default();
    let status = partner.stream(IDS, vec![0xff], newest_first(7)).await.unwrap_err();
    assert_eq!((status.code(), partner.asked().len()), (Code::InvalidArgument, 0));
    let status = partner.stream(IDS, Vec::new(), |_| Err(Kind::Unreachable)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let info = status.get_details_error_info().unwrap();
    assert!(!info.metadata.contains_key("resume_after"));
}

/// A partner that answers the same page again, or one with something in it that is no
/// element, is not followed: what is missing would not be seen.
#[tokio::test]
async fn a_page_that_leads_nowhere_ends_the_stream() {
    let page = |beside: &str| format!("{{\"data\":{}{beside}}}", events(&[5, 4]));
    for (path, answer, told) in [
        (IDS, events(&[5, 4]), 2),
        (IDS, events(&[4, 5]), 0),
        (IDS, "[{\"name\":\"without an id\"}]".to_owned(), 0),
        (IDS, "[{\"id\":1},7]".to_owned(), 0),
        (IDS, "[{\"id\":1},null]".to_owned(), 0),
        (NUMBERS, page(""), 0),
        (NUMBERS, "{\"data\":\"x\",\"totalPages\":1}".to_owned(), 0),
    ] {
        let partner = Partner::default();
        let answered = answer.clone();
        let stream = partner.stream(path, Vec::new(), move |_| Ok(answered.clone())).await;
        let (ids, status) = match stream {
            Ok(stream) => {
                let (ids, status, _) = read(stream).await;
                (ids, status.unwrap())
            }
            Err(status) => (Vec::new(), status),
        };
        assert_eq!((ids.len(), status.code()), (told, Code::Internal), "{answer}");
        let info = status.get_details_error_info().unwrap();
        assert_eq!((&*info.reason, &*info.domain), ("PARTNER_BAD_RESPONSE", "api.example.com"));
    }
}

/// The caller's pace is the pace of the asking, and a caller that is gone ends it.
#[tokio::test]
async fn the_next_page_waits_until_the_one_before_is_taken() {
    let partner = Partner::default();
    // Larger than what tonic puts together before it is read.
    let large = |target: &str| {
        let before = parameter(target, "beforeId").unwrap_or(1_000);
        let name = "n".repeat(100_000);
        let event = |id: i64| format!("{{\"id\":{id},\"name\":\"{name}\"}}");
        Ok(format!("[{},{},{}]", event(before - 1), event(before - 2), event(before - 3)))
    };
    let mut stream = partner.stream(IDS, Vec::new(), large).await.unwrap();
    for asked in [1, 1, 1, 2, 2, 2, 3] {
        stream.message().await.unwrap().unwrap();
        assert_eq!(partner.asked().len(), asked);
    }
    drop(stream);
    tokio::task::yield_now().await;
    assert_eq!(partner.asked().len(), 3);
}
