//! The streaming twins: each walks its list to the end, page by page, and asks every page
//! as the list would be asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use http::{HeaderMap, Method, Uri};
use partner_gateway::operation::Catalogue;
use serde_json::{Value, json};

use crate::support::gateway::Gateway;
use crate::support::wire::{Told, Wire, decoded};

const TOKEN: &str = "twin-user-token";
const LAST: i64 = 7;
const PAGE: usize = 3;

/// What the partner was asked: the request's line and its body.
type Asked = Arc<Mutex<Vec<String>>>;

/// A partner with elements 1 to [`LAST`], three on a page, the newest first.
async fn partner(asked: Asked) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(asked);
    #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn answer(
    State(asked): State<Asked>,
    Query(query): Query<BTreeMap<String, String>>,
    (method, uri): (Method, Uri),
    headers: HeaderMap,
    body: Bytes,
) -> String {
    assert_eq!(headers["authorization"], format!("Bearer {TOKEN}"));
    let body = String::from_utf8(body.to_vec()).unwrap();
    asked.lock().unwrap().push(format!("{method} {uri} {body}").trim_end().to_owned());
    let number = |name: &str| query.get(name).map(|text| text.parse::<i64>().unwrap());
    let page = |below: i64| (1..below).rev().take(PAGE).map(|id| json!({"id": id}));
    let answer: Value = match number("page") {
        Some(page_number) => {
            let below = LAST + 1 - i64::try_from(PAGE).unwrap() * (page_number - 1);
            let data: Value = page(below).collect();
            json!({"data": data, "page": page_number, "page_size": PAGE, "total_pages": 3})
        }
        None => page(number("before_id").unwrap_or(LAST + 1)).collect(),
    };
    answer.to_string()
}

/// The ids of a stream's messages.
fn ids(rpc: &str, told: &Told) -> Vec<i64> {
    assert_eq!(told.code(), tonic::Code::Ok, "{rpc}: {:?}", told.status());
    let mut ids = Vec::new();
    let mut rest = &told.body[..];
    while let [0, a, b, c, d, after @ ..] = rest {
        let length = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).unwrap();
        let (message, others) = after.split_at(length);
        ids.push(decoded(rpc, message)["id"].as_str().unwrap().parse().unwrap());
        rest = others;
    }
    assert!(rest.is_empty());
    ids
}

async fn walked(rpc: &str, request: Value) -> (Vec<i64>, Vec<String>) {
    let asked = Asked::default();
    let url = partner(Arc::clone(&asked)).await;
    let settings = format!("[partners.trustap]\nbase_url = \"{url}/api/v1\"\napi_key = \"key\"\n");
    let gateway = Gateway::configured(&settings).await;
    let headers = [("x-partner-token", TOKEN)];

    let told = Wire::to(gateway.grpc()).call(rpc, request, &headers).await;

    let asked = asked.lock().unwrap().clone();
    (ids(rpc, &told), asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_by_ids_is_walked_from_new_to_old() {
    for (rpc, path) in [
        ("trustap.v1.OnlineTransactionService/StreamTransactions", "me/transactions"),
        ("trustap.v1.F2fTransactionService/StreamF2fTransactions", "p2p/me/transactions"),
        ("trustap.v1.NotificationService/StreamNotifications", "me/notifications"),
    ] {
        let (ids, asked) = walked(rpc, json!({"limit": PAGE})).await;

        assert_eq!(ids, [7, 6, 5, 4, 3, 2, 1], "{rpc}");
        let queries = ["limit=3", "before_id=5&limit=3", "before_id=2&limit=3"];
        let expected = queries.map(|query| format!("GET /api/v1/{path}?{query}"));
        assert_eq!(asked[..3], expected, "{rpc}");
        let last = format!("GET /api/v1/{path}?before_id=1&limit=3");
        assert!(asked[3..].iter().all(|line| *line == last) && asked.len() <= 4, "{asked:?}");
    }
}

/// A stream that broke off goes on where it was, and one may end early.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_begins_and_ends_where_the_caller_says() {
    let rpc = "trustap.v1.OnlineTransactionService/StreamTransactions";

    assert_eq!(walked(rpc, json!({"beforeId": 4})).await.0, [3, 2, 1]);
    let (ids, asked) = walked(rpc, json!({"afterId": 3})).await;
    assert_eq!(ids, [7, 6, 5, 4]);
    assert!(asked.iter().all(|line| !line.contains("after_id")), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_by_numbers_is_walked_to_its_last_page() {
    for (rpc, path) in [
        ("trustap.v1.OnlineTransactionService/StreamClientTransactions", "clients"),
        ("trustap.v1.F2fTransactionService/StreamF2fClientTransactions", "p2p/clients"),
    ] {
        let (ids, asked) = walked(rpc, json!({"clientId": "shop", "statuses": ["paid"]})).await;

        assert_eq!(ids, [7, 6, 5, 4, 3, 2, 1], "{rpc}");
        assert_eq!(asked.len(), 3, "{rpc}");
        for (number, line) in (1..).zip(asked) {
            let head = format!("POST /api/v1/{path}/shop/transactions?page={number} ");
            assert!(line.starts_with(&head), "{line}");
            assert!(line.contains(r#""statuses":["paid"]"#), "{line}");
        }
    }
}

/// The twins that are walked above are all that there are.
#[test]
fn no_twin_is_left_out() {
    let operations = Catalogue::embedded().unwrap().operations().iter();
    let twins = operations.filter(|o| o.partner == "trustap" && o.paging.is_some());
    assert_eq!(twins.count(), 5);
}
