//! A partner that answers what it is told, and writes down what it was asked.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Method, StatusCode, Uri};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What is answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scripted {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A running partner. It gives a token to whoever asks, unless told otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Partner {
    pub(crate) url: String,
    state: Arc<Mutex<Script>>,
}

#[derive(Debug, Default)]
struct Script {
    answer: Scripted,
    answers_token: bool,
    arrived: Vec<Arrived>,
}

impl Partner {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(Script { answers_token: true, ..Script::default() }));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&state));
        #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    /// Answers this from now on, and forgets what has arrived.
    pub(crate) fn script(&self, answer: Scripted, answers_token: bool) {
        *self.state.lock().unwrap() = Script { answer, answers_token, arrived: Vec::new() };
    }

    /// What has arrived, token requests left out.
    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        self.state.lock().unwrap().arrived.clone()
    }
}

async fn answer(
    State(state): State<Arc<Mutex<Script>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut script = state.lock().unwrap();
    let mut response = Response::new(Body::empty());
    if script.answers_token && uri.path() == "/token" {
        let token = r#"{"access_token":"scripted-token","token_type":"Bearer","expires_in":3600}"#;
        *response.body_mut() = Body::from(token);
        return response;
    }
    script.arrived.push(Arrived { method, uri, headers, body });
    *response.status_mut() = script.answer.status;
    *response.headers_mut() = script.answer.headers.clone();
    *response.body_mut() = Body::from(script.answer.body.clone());
    response
}
