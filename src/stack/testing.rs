//! What the tests of the layers share: a partner of their own, and a server that does
//! what a script says with each request.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use jiff::Timestamp;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::Context;
use crate::call::{Body, Call};
use crate::callers::Caller;
use crate::clock::Clock;
use crate::credentials::SecretFiles;
use crate::error::{Meaning, PartnerFailure};
use crate::operation::{
    AccountKey, Catalogue, Credential, Effect, Encoding, Operation, PathTemplate,
};
use crate::partner::{KeyChange, Partner, Signable, Unkeepable};
use crate::random::Random;
use crate::store::{Retention, Store};
use crate::telemetry::metrics::Metrics;

/// What the tests of one layer lend to it.
pub(crate) async fn context() -> Context {
    context_at(Clock::from_fn(|| Timestamp::from_second(1_000).unwrap())).await
}

/// The same with a time of day that the test sets, in the store as well.
pub(crate) async fn context_at(clock: Clock) -> Context {
    Context {
        store: store(clock.clone()).await,
        retention: Retention::default(),
        is_readable: |_, _| true,
        clock,
        tasks: TaskTracker::new(),
        stopping: CancellationToken::new(),
        status: Arc::default(),
        secret_files: SecretFiles::default(),
        redis: None,
        metrics: Metrics::default(),
        random: Random::from_fn(|| 0.5),
    }
}

/// A store in memory. A paused clock stands still while a thread works, else it would run
/// ahead of the database's.
async fn store(clock: Clock) -> Store {
    let opened =
        tokio::task::spawn_blocking(|| Handle::current().block_on(Store::in_memory(clock)));
    opened.await.unwrap().unwrap()
}

/// A write of no real partner that takes these credentials, and shows a new key.
pub(crate) fn operation(credentials: &[Credential]) -> &'static Operation {
    operation_of(credentials, Effect::WriteOnce)
}

/// A read of no real partner that takes these credentials.
pub(crate) fn read_operation(credentials: &[Credential]) -> &'static Operation {
    operation_of(credentials, Effect::Read)
}

/// An rpc of no real partner with this effect.
pub(crate) fn operation_of(credentials: &[Credential], effect: Effect) -> &'static Operation {
    let model = Catalogue::embedded().unwrap().operations()[0];
    Box::leak(Box::new(Operation {
        service: "example.v1.ThingService".to_owned(),
        name: "MakeThing".to_owned(),
        partner: "example".to_owned(),
        verb: Method::POST,
        path: PathTemplate::parse("/things").unwrap(),
        effect,
        credentials: credentials.to_vec(),
        encoding: Encoding::Json,
        request: model.request,
        bindings: Vec::new(),
        has_body: true,
        reply: model.reply,
        response_body: None,
        unwrap: None,
        envelope: Vec::new(),
        echo: Vec::new(),
        reserved: &[],
        empty_reply: true,
        account_key: (effect != Effect::Read).then_some(AccountKey::Issued),
        deprecated: false,
        already_done: Vec::new(),
        paging: None,
        reconcile: None,
        document: String::new(),
        section: String::new(),
        schema: model.schema,
    }))
}

/// A call of such an rpc, with ten seconds to go.
pub(crate) fn call_with(credential: Credential) -> Call {
    Call {
        operation: operation(&[credential]),
        id: Uuid::nil(),
        account: None,
        user_token: None,
        target: "/things?a=b%20c".to_owned(),
        headers: HeaderMap::new(),
        body: Some(json("{\"n\":1}")),
        request_id: None,
        deadline: Instant::now() + Duration::from_secs(10),
        caller: Caller::anonymous(),
        previous_attempts: 0,
    }
}

/// A call with the partner account's signature.
pub(crate) fn call() -> Call {
    call_with(Credential::Signature)
}

/// A JSON body.
pub(crate) fn json(text: &str) -> Body {
    Body {
        content_type: HeaderValue::from_static("application/json"),
        bytes: Bytes::copy_from_slice(text.as_bytes()),
    }
}

/// A partner with every ability.
#[derive(Debug)]
pub(crate) struct Example;

impl Partner for Example {
    fn name(&self) -> &'static str {
        "example"
    }

    fn failure(&self, status: StatusCode, _: &HeaderMap, body: &[u8]) -> Option<PartnerFailure> {
        let error: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |member| error.get(member).and_then(Value::as_str).map(str::to_owned);
        let code = text("code");
        (!status.is_success()).then(|| PartnerFailure {
            status,
            meaning: match code.as_deref() {
                Some("wrong") => Some(Meaning::InvalidArgument),
                Some("fault") => Some(Meaning::Internal),
                Some("bad_key") => Some(Meaning::Unauthenticated),
                _ => None,
            },
            code,
            message: text("message"),
            fields: Vec::new(),
            retry_after: None,
        })
    }

    fn token_path(&self) -> Option<&'static str> {
        Some("/token")
    }

    fn sign(&self, request: &Signable<'_>) -> Option<Vec<(HeaderName, String)>> {
        let Signable { access_key, secret_key, now, verb, target, body } = request;
        let size = body.len();
        let text = format!("{access_key} {secret_key} {} {verb} {target} {size}", now.as_second());
        Some(vec![(HeaderName::from_static("x-signature"), text)])
    }

    fn key_change(
        &self,
        kind: AccountKey,
        request: &[u8],
        reply: &[u8],
    ) -> Result<Option<KeyChange>, Unkeepable> {
        let json = |bytes| serde_json::from_slice::<Value>(bytes).unwrap_or_default();
        let (request, reply) = (json(request), json(reply));
        let text = |of: &Value, member| of.get(member).and_then(Value::as_str).map(str::to_owned);
        let account = text(&request, "account").or_else(|| text(&reply, "account"));
        let Some(account) = account else { return Ok(None) };
        let keys = text(&reply, "access").zip(text(&reply, "secret"));
        Ok(Some(match (kind, keys) {
            (AccountKey::Deleted, _) => KeyChange::Deleted { account },
            (AccountKey::Issued, None) => return Err(Unkeepable),
            (AccountKey::Issued, Some((access_key, secret_key))) => KeyChange::Issued {
                account,
                access_key: access_key.into(),
                secret_key: secret_key.into(),
            },
        }))
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Request line and headers, header names in lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Request {
    /// The path with its query.
    pub(crate) fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(found, _)| *found == name).map(|(_, value)| value).next()
    }
}

/// What the server does with a request.
pub(crate) enum Act {
    /// Sends this, and reads the next request.
    Send(Vec<u8>),
    /// Sends this after some time, and reads the next request.
    SendLate(Duration, Vec<u8>),
    /// Sends this when it is told to, and reads the next request.
    SendWhen(Arc<Notify>, Vec<u8>),
    /// Sends one after the other, each seen by itself, and reads the next request.
    SendInParts(Vec<Vec<u8>>),
    /// Sends this and closes the connection.
    SendAndClose(Vec<u8>),
    /// Sends this, and then nothing.
    SendAndStall(Vec<u8>),
    /// Sends the first, then the second again and again.
    Repeat(Vec<u8>, Vec<u8>, Duration),
}

/// A server on a port of its own.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Starts a server that does what `script` says; it is given each request and the
    /// number of those before.
    pub(crate) async fn start(
        script: impl Fn(&Request, usize) -> Act + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let (script, tasks, seen) = (Arc::new(script), TaskTracker::new(), requests.clone());
        tasks.clone().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
                tasks.spawn(serve(stream, script, seen));
            }
        });
        Self { address, requests }
    }

    /// The base URL of the server.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it was sent.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// What it was sent to `path`.
    pub(crate) fn requests_to(&self, path: &str) -> Vec<Request> {
        self.requests().into_iter().filter(|r| r.target().starts_with(path)).collect()
    }
}

async fn serve(
    mut stream: TcpStream,
    script: Arc<impl Fn(&Request, usize) -> Act>,
    seen: Arc<Mutex<Vec<Request>>>,
) {
    while let Some(request) = receive(&mut stream).await {
        let number = seen.lock().unwrap().len();
        seen.lock().unwrap().push(request.clone());
        match script(&request, number) {
            Act::Send(bytes) => stream.write_all(&bytes).await.unwrap(),
            Act::SendLate(time, bytes) => {
                tokio::time::sleep(time).await;
                stream.write_all(&bytes).await.unwrap();
            }
            Act::SendWhen(told, bytes) => {
                told.notified().await;
                stream.write_all(&bytes).await.unwrap();
            }
            Act::SendInParts(parts) => {
                if send_in_parts(&mut stream, &parts).await.is_err() {
                    return;
                }
            }
            Act::SendAndClose(bytes) => return stream.write_all(&bytes).await.unwrap(),
            Act::SendAndStall(bytes) => {
                stream.write_all(&bytes).await.unwrap();
                return std::future::pending().await;
            }
            Act::Repeat(first, part, pause) => {
                stream.write_all(&first).await.unwrap();
                while stream.write_all(&part).await.is_ok() {
                    tokio::time::sleep(pause).await;
                }
                return;
            }
        }
    }
}

/// Fails when nobody reads any more.
async fn send_in_parts(stream: &mut TcpStream, parts: &[Vec<u8>]) -> std::io::Result<()> {
    // Else a part waits until the one before is acknowledged, and both are read together.
    stream.set_nodelay(true)?;
    for part in parts {
        stream.write_all(part).await?;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

async fn receive(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        let mut part = [0; 4096];
        match stream.read(&mut part).await {
            Ok(0) | Err(_) => return None,
            Ok(size) => bytes.extend_from_slice(&part[..size]),
        }
    };
    let mut body = bytes.split_off(end);
    let request = Request { head: String::from_utf8(bytes).unwrap(), body: String::new() };
    let size = request.header("content-length").map_or(0, |size| size.parse().unwrap());
    while body.len() < size {
        let mut part = [0; 4096];
        match stream.read(&mut part).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => body.extend_from_slice(&part[..read]),
        }
    }
    Some(Request { body: String::from_utf8(body).unwrap(), ..request })
}

/// An answer with a body and its length.
pub(crate) fn answer(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut bytes =
        format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n{headers}\r\n", body.len())
            .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}
