//! The wire: the one place that makes HTTP clients.
//!
//! A client's own defaults wait for ever, follow redirects, read proxies from the
//! environment and repeat requests; here every limit is set, and nothing is sent that
//! was not asked for. What goes wrong is told by how far the request had come:
//! [`evidence`] has the table.

mod address;
mod body;
mod evidence;

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use reqwest::{Certificate, Client, ClientBuilder, Proxy, Request, redirect, retry};
use tokio::time::timeout;
use tower::Service;

use self::address::{BaseUrl, Resolver};
use super::Answering;
use super::exchange::Exchange;
use super::settings::{Problem, Settings, Timeouts};
use crate::call::{Body, Reply};
use crate::error::{Error, Kind};

const USER_AGENT: &str = concat!("partner-gateway/", env!("CARGO_PKG_VERSION"));
/// How long an idle connection is kept: shorter than common servers keep theirs, so that
/// a request seldom meets a connection that is just being closed.
const POOL_IDLE: Duration = Duration::from_secs(20);
const POOL_SIZE: usize = 64;
/// The longest head of an answer, in bytes. HTTP/1.1 heads are bounded by hyper at
/// 100 headers and about 400 KiB before this is looked at.
const MAX_HEAD: usize = 64 * 1024;
/// HTTP/2 sends all requests over one connection. One that died without a word is found by
/// pings, within two parts of so many of the time for an answer's head: so a repeat of
/// what waited on it begins on another.
const HTTP2_PINGS: u32 = 3;

/// Connections to one partner.
#[derive(Clone)]
pub(super) struct Transport(Arc<Inner>);

struct Inner {
    client: Client,
    base: BaseUrl,
    host: Arc<str>,
    timeouts: Timeouts,
    max_body: usize,
}

// === impl Transport ===

impl Transport {
    /// A transport that has connected to nothing yet.
    ///
    /// # Errors
    /// Every problem of `settings`.
    pub(super) fn try_new(settings: &Settings) -> Result<Self, Vec<Problem>> {
        let mut problems = settings.faults();
        let base = BaseUrl::parse(&settings.base_url, settings.allow_private_addresses);
        let base = base.map_err(|problem| problems.push(Problem::new("base_url", problem)));
        let client = client(settings).map_err(|problem| problems.push(problem));
        match (base, client) {
            (Ok(base), Ok(client)) if problems.is_empty() => Ok(Self(Arc::new(Inner {
                client,
                host: base.host().into(),
                base,
                timeouts: settings.timeouts,
                max_body: settings.max_body,
            }))),
            _ => Err(problems),
        }
    }

    /// The partner's host.
    pub(super) fn host(&self) -> Arc<str> {
        Arc::clone(&self.0.host)
    }

    /// The same with its port.
    pub(super) fn origin(&self) -> (Arc<str>, Option<u16>) {
        (self.host(), self.0.base.port())
    }

    /// Sends one request and reads the whole answer, whatever its status.
    ///
    /// # Errors
    /// When there is no whole answer, with what is known of the request's effect.
    pub(super) async fn send(
        &self,
        verb: &Method,
        target: &str,
        headers: HeaderMap,
        body: Option<Body>,
    ) -> Result<Reply, Error> {
        let request = self.request(verb, target, headers, body)?;
        let exchange = self.exchange(request);
        let result = timeout(self.0.timeouts.total, exchange).await;
        result.unwrap_or_else(|_| Err(evidence::timed_out())).map_err(|error| match error.kind() {
            Kind::Internal => error,
            _ => error.with_host(&*self.0.host),
        })
    }

    fn request(
        &self,
        verb: &Method,
        target: &str,
        mut headers: HeaderMap,
        body: Option<Body>,
    ) -> Result<Request, Error> {
        let mut request = Request::new(verb.clone(), self.0.base.join(target)?);
        if let Some(Body { content_type, bytes }) = body {
            headers.insert(CONTENT_TYPE, content_type);
            *request.body_mut() = Some(bytes.into());
        } else if matches!(*verb, Method::POST | Method::PUT | Method::PATCH) {
            // RFC 9110 section 8.6; some servers refuse to guess (411).
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        *request.headers_mut() = headers;
        Ok(request)
    }

    async fn exchange(&self, request: Request) -> Result<Reply, Error> {
        let Timeouts { head, body_idle, .. } = self.0.timeouts;
        let answer = timeout(head, self.0.client.execute(request)).await;
        let mut answer =
            answer.map_err(|_| evidence::timed_out())?.map_err(evidence::unanswered)?;
        let status = answer.status();
        let headers = std::mem::take(answer.headers_mut());
        let head_size: usize = headers.iter().map(|(n, v)| n.as_str().len() + v.len()).sum();
        if head_size > MAX_HEAD {
            return Err(evidence::unreadable(status, "its headers are too long"));
        }
        let body = body::read(answer, status, body_idle, self.0.max_body).await?;
        Ok(Reply::new(status, headers, body))
    }
}

// A client shows its proxy's URL.
impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transport({})", self.0.host)
    }
}

impl Service<Exchange> for Transport {
    type Response = Reply;
    type Error = Error;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, exchange: Exchange) -> Self::Future {
        let transport = self.clone();
        Box::pin(async move {
            let call = exchange.call;
            let verb = &call.operation.verb;
            transport.send(verb, &call.target, call.headers, call.body).await
        })
    }
}

/// A client with every limit set.
fn client(settings: &Settings) -> Result<Client, Problem> {
    let mut headers = HeaderMap::new();
    let ping = settings.timeouts.head / HTTP2_PINGS;
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let builder = Client::builder()
        .user_agent(USER_AGENT)
        .default_headers(headers)
        .gzip(true)
        .referer(false)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .no_proxy()
        .connect_timeout(settings.timeouts.connect)
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(POOL_SIZE)
        .http2_max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
        // Idle ones too: a request must not be the first to notice that a connection is dead.
        .http2_keep_alive_while_idle(true)
        .http2_keep_alive_interval(ping)
        .http2_keep_alive_timeout(ping);
    let builder = match settings.http2_prior_knowledge {
        true => builder.http2_prior_knowledge(),
        false => builder,
    };
    let (builder, proxy_host) = with_proxy(builder, settings)?;
    let builder = with_root_ca(builder, settings)?
        .dns_resolver(Resolver::new(settings.allow_private_addresses, proxy_host));
    // The only failure that is left is of the certificates.
    builder.build().map_err(|error| Problem::new("root_ca", describe(&error)))
}

fn with_proxy(
    builder: ClientBuilder,
    settings: &Settings,
) -> Result<(ClientBuilder, Option<String>), Problem> {
    let Some(url) = &settings.proxy_url else { return Ok((builder, None)) };
    let problem = |text: &str| Problem::new("proxy_url", text);
    let parsed = reqwest::Url::parse(url).map_err(|_| problem("it is not a URL"))?;
    let proxy = Proxy::all(parsed.clone()).map_err(|_| problem("it cannot be used as a proxy"))?;
    Ok((builder.proxy(proxy), parsed.host_str().map(str::to_owned)))
}

fn with_root_ca(builder: ClientBuilder, settings: &Settings) -> Result<ClientBuilder, Problem> {
    let Some(pem) = &settings.root_ca else { return Ok(builder) };
    let problem = |text: &str| Problem::new("root_ca", text);
    let certificates = Certificate::from_pem_bundle(pem)
        .map_err(|_| problem("it does not hold certificates in PEM"))?;
    if certificates.is_empty() {
        return Err(problem("it holds no certificate"));
    }
    Ok(certificates.into_iter().fold(builder, ClientBuilder::add_root_certificate))
}

fn describe(error: &reqwest::Error) -> String {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    format!("no client can be made: {}", cause.unwrap_or_else(|| error.to_string()))
}

#[cfg(test)]
mod tests;
