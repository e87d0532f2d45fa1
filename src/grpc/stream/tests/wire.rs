//! Streams over sockets on both sides, through the whole stack: what the partner is asked
//! while the caller reads, waits or goes away.

use std::net::SocketAddr;

use axum::Router;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;
use tonic::transport::{Channel, Endpoint};
use tower::ServiceExt as _;

use super::*;
use crate::stack::testing::{Act, Example, Request as Asked, Server, answer, context};
use crate::stack::{self, Built, Settings};

/// The gateway's gRPC side before a partner that does what `script` says.
struct Setting {
    partner: Server,
    grpc: SocketAddr,
}

impl Setting {
    /// Calls have `timeout`.
    async fn new(
        timeout: Duration,
        script: impl Fn(&Asked, usize) -> Act + Send + Sync + 'static,
    ) -> Self {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let partner = Server::start(script).await;
        let mut settings = Settings::new(partner.url());
        settings.credentials.api_key = Some(SecretString::from("key"));
        let example = Arc::new(Example);
        let Built { stack, state, authenticator } =
            stack::build(example, settings, &context().await).unwrap();
        let side = PartnerSide {
            stack,
            host: "127.0.0.1".to_owned(),
            status: Arc::default(),
            state,
            authenticator,
            return_secrets: true,
        };
        let gateway = Arc::new(Gateway::new([("test".to_owned(), side)].into()));
        let operations = Operations::new(&CATALOGUE, gateway, usize::MAX);
        let service = operations.map_request(move |mut request: http::Request<_>| {
            let arrival = crate::grpc::testing::arrival(timeout);
            request.extensions_mut().insert(arrival);
            request
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let grpc = listener.local_addr().unwrap();
        let router = Router::new().fallback_service(service);
        TaskTracker::new().spawn(async move { axum::serve(listener, router).await });
        Self { partner, grpc }
    }

    async fn stream(&self) -> Result<Streaming<Bytes>, Status> {
        let endpoint = Endpoint::try_from(format!("http://{}", self.grpc)).unwrap();
        let mut grpc: Grpc<Channel> = Grpc::new(endpoint.connect().await.unwrap());
        grpc.ready().await.unwrap();
        let path = IDS.parse::<Uri>().unwrap().into_parts().path_and_query.unwrap();
        let request = Request::new(Bytes::new());
        Ok(grpc.server_streaming(request, path, BytesCodec).await?.into_inner())
    }

    fn asked(&self) -> Vec<String> {
        self.partner.requests().iter().map(|request| request.target().to_owned()).collect()
    }
}

fn page(target: &str) -> Vec<u8> {
    answer(200, "", newest_first(7)(target).unwrap())
}

#[tokio::test]
async fn all_pages_arrive_and_each_is_asked_with_the_credential() {
    let setting =
        Setting::new(Duration::from_secs(9), |asked, _| Act::Send(page(asked.target()))).await;
    let (ids, status, attempts) = read(setting.stream().await.unwrap()).await;
    assert_eq!((ids, status.is_none()), ((1..=7).rev().collect(), true));
    assert_eq!(attempts.as_deref(), Some("4"));
    let requests = setting.partner.requests();
    assert!(
        requests.iter().all(|request| request.header("authorization") == Some("Basic a2V5Og=="))
    );
}

/// The deadline is the whole stream's: what was told before it stays told.
#[tokio::test]
async fn a_deadline_in_the_middle_ends_the_stream() {
    let setting = Setting::new(Duration::from_millis(300), |asked, number| match number {
        0 => Act::Send(page(asked.target())),
        _ => Act::SendAndStall(Vec::new()),
    })
    .await;
    let (ids, status, _) = read(setting.stream().await.unwrap()).await;
    let status = status.unwrap();
    assert_eq!((ids, status.code()), (vec![7, 6, 5], Code::DeadlineExceeded));
    let info = status.get_details_error_info().unwrap();
    assert_eq!((&*info.reason, &*info.metadata["resume_after"]), ("PARTNER_TIMEOUT", "5"));
    assert_eq!(info.metadata["attempts"], "2");
}

/// A page of events so large that a few of them fill the buffers between partner and
/// caller.
fn large(target: &str) -> Vec<u8> {
    let before = parameter(target, "beforeId").unwrap_or(1_000);
    let name = "n".repeat(900_000);
    answer(200, "", format!("[{{\"id\":{},\"name\":\"{name}\"}}]", before - 1))
}

/// How many pages have been asked when no more come.
async fn settled(setting: &Setting) -> usize {
    let mut before = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        match setting.asked().len() {
            now if now == before => return now,
            now => before = now,
        }
    }
}

#[tokio::test]
async fn a_caller_that_does_not_read_stops_the_asking() {
    let setting =
        Setting::new(Duration::from_secs(60), |asked, _| Act::Send(large(asked.target()))).await;
    let mut stream = setting.stream().await.unwrap();
    let unread = settled(&setting).await;
    assert!((1..=4).contains(&unread), "{unread} pages for nobody");
    for _ in 0..10 {
        stream.message().await.unwrap().unwrap();
    }
    let read = settled(&setting).await;
    assert!((10..=10 + unread + 1).contains(&read), "{read} pages for 10 that were read");
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_the_asking() {
    let setting =
        Setting::new(Duration::from_secs(60), |asked, _| Act::Send(large(asked.target()))).await;
    let mut stream = setting.stream().await.unwrap();
    stream.message().await.unwrap().unwrap();
    drop(stream);
    let gone = settled(&setting).await;
    assert!(gone <= 6, "{gone} pages for a caller that took one");
    assert_eq!(settled(&setting).await, gone);
}
