//! The control interface at `/_simulator`: what arrived, what shall go wrong, what time it is,
//! which assumptions hold. It answers 400 to anything that it does not know, because a fault with
//! a misspelt field would let a test pass that proves nothing.

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use http::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::fault::{Fault, Rule};
use super::journal::Filter;
use super::webhook::{self, Order};
use super::{Simulator, form};

type Answered = Result<Response, Refused>;

/// A control request that was not carried out, and why.
struct Refused(StatusCode, String);

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_seconds: i64,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// The routes, without those of the partners themselves.
pub(crate) fn routes() -> Router<Simulator> {
    Router::new()
        .route("/", get(index))
        .route("/_simulator", get(index))
        .route("/_simulator/requests", get(requests))
        .route("/_simulator/faults", get(faults).post(add_fault).delete(clear_faults))
        .route("/_simulator/reset", post(reset))
        .route("/_simulator/clock", get(clock).post(advance_clock))
        .route("/_simulator/switches", get(switches).put(set_switches))
        .route("/_simulator/webhooks", post(send_webhook))
        .route("/_simulator/{partner}/{*path}", any(partner_control))
        .method_not_allowed_fallback(async || {
            Refused(StatusCode::METHOD_NOT_ALLOWED, "this path has other methods".to_owned())
        })
}

/// The answer to a path that belongs to nobody.
pub(crate) fn not_found(path: &str) -> Response {
    absent(path).into_response()
}

async fn index(State(simulator): State<Simulator>) -> Response {
    let mounts: Vec<_> = simulator.partners().map(|p| format!("/{}", p.name())).collect();
    found(&json!({
        "partners": mounts,
        "control": [
            "GET /_simulator/requests?partner=&method=&path=",
            "GET, POST, DELETE /_simulator/faults",
            "POST /_simulator/reset",
            "GET, POST /_simulator/clock",
            "GET, PUT /_simulator/switches",
            "POST /_simulator/webhooks",
            "POST /_simulator/trustist/invitations/{id}/advance",
            "PUT /_simulator/trustist/client",
            "GET, PUT, DELETE /_simulator/trustist/tokens",
            "PUT /_simulator/trolley/parent",
            "POST /_simulator/trustap/login",
            "POST /_simulator/trustap/users/{id}",
            "POST /_simulator/trustap/charge_versions",
            "POST /_simulator/trustap/transactions/{id}/{action}",
            "POST /_simulator/trustap/p2p/transactions/{id}/{action}",
        ],
    }))
}

async fn requests(State(simulator): State<Simulator>, RawQuery(query): RawQuery) -> Answered {
    let pairs = form::pairs(&query.unwrap_or_default());
    let pairs = pairs.map_err(|_| invalid("the query is not form-encoded"))?;
    // An empty value is the placeholder of the documented address, not a name to look for.
    let given = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    let fields: Map<_, _> = given.map(|(name, value)| (name, Value::from(value))).collect();
    let filter: Filter =
        serde_json::from_value(fields.into()).map_err(|error| invalid(&error.to_string()))?;
    if let Some(name) = &filter.partner {
        known_partner(&simulator, name)?;
    }
    Ok(found(&simulator.journal().entries(&filter)))
}

async fn faults(State(simulator): State<Simulator>) -> Response {
    found(&simulator.faults().active())
}

async fn add_fault(State(simulator): State<Simulator>, body: Bytes) -> Answered {
    let rule: Rule = parse(&body)?;
    let tokens = known_partner(&simulator, &rule.partner)?.issues_tokens();
    if rule.fault == (Fault::ExpireTokens {}) && !tokens {
        return Err(invalid(&format!("{} issues no tokens that could expire", rule.partner)));
    }
    rule.check().map_err(|error| invalid(&error))?;
    Ok(found(&json!({"id": simulator.faults().add(rule)})))
}

async fn clear_faults(State(simulator): State<Simulator>) -> Response {
    simulator.faults().clear();
    found(&json!({}))
}

async fn reset(State(simulator): State<Simulator>, body: Bytes) -> Answered {
    if !body.is_empty() {
        parse::<Nothing>(&body)?;
    }
    simulator.reset();
    Ok(found(&json!({})))
}

async fn clock(State(simulator): State<Simulator>) -> Response {
    let clock = simulator.clock();
    let now = clock.now();
    found(&json!({
        "now": now.to_string(),
        "unix_seconds": now.as_second(),
        "offset_seconds": clock.offset_seconds(),
    }))
}

async fn advance_clock(State(simulator): State<Simulator>, body: Bytes) -> Answered {
    let order: Advance = parse(&body)?;
    simulator.clock().advance(order.advance_seconds);
    Ok(clock(State(simulator)).await)
}

async fn switches(State(simulator): State<Simulator>) -> Response {
    let all = simulator.partners().map(|p| (p.name().to_owned(), p.switches()));
    found(&all.collect::<Map<_, _>>())
}

/// Switches that are not named keep their position; a request with a fault changes none.
async fn set_switches(State(simulator): State<Simulator>, body: Bytes) -> Answered {
    let changes: Map<String, Value> = parse(&body)?;
    let before = changes.keys().map(|name| Ok((name, known_partner(&simulator, name)?.switches())));
    let before = before.collect::<Result<Vec<_>, Refused>>()?;
    let outcome = changes.iter().try_for_each(|(name, fields)| change(&simulator, name, fields));
    if let Err(message) = outcome {
        for (name, switches) in before {
            // They were in force a moment ago, so they cannot be refused.
            let _ = change(&simulator, name, &switches);
        }
        return Err(invalid(&message));
    }
    Ok(switches(State(simulator)).await)
}

fn change(simulator: &Simulator, name: &str, fields: &Value) -> Result<(), String> {
    let fields = fields.as_object().ok_or_else(|| format!("{name} must be an object"))?;
    let partner = simulator.partner(name).ok_or_else(|| format!("unknown partner {name}"))?;
    partner.set_switches(fields).map_err(|error| format!("{name}: {error}"))
}

async fn send_webhook(State(simulator): State<Simulator>, body: Bytes) -> Answered {
    let order: Order = parse(&body)?;
    let partner = known_partner(&simulator, &order.partner)?;
    order.check().map_err(|error| invalid(&error))?;
    let delivery = partner.webhook(&order).map_err(|error| invalid(&error))?;
    let (status, error) = match webhook::send(&delivery).await {
        Ok(status) => (Some(status), None),
        Err(error) => (None, Some(error)),
    };
    let mut outcome = json!({"status": status, "delivery_id": delivery.id});
    if let (Some(error), Value::Object(fields)) = (error, &mut outcome) {
        fields.insert("error".to_owned(), error.into());
    }
    Ok(found(&outcome))
}

async fn partner_control(
    State(simulator): State<Simulator>,
    Path((name, path)): Path<(String, String)>,
    method: Method,
    body: Bytes,
) -> Answered {
    let absent = || absent(&format!("/_simulator/{name}/{path}"));
    let partner = simulator.partner(&name).ok_or_else(absent)?;
    match partner.control(&method, &path, &body).ok_or_else(absent)? {
        Ok(object) => Ok(found(&object)),
        Err((status, message)) => Err(Refused(status, message)),
    }
}

fn known_partner<'a>(
    simulator: &'a Simulator,
    name: &str,
) -> Result<&'a dyn super::Partner, Refused> {
    simulator.partner(name).ok_or_else(|| {
        let names: Vec<_> = simulator.partners().map(super::Partner::name).collect();
        invalid(&format!("unknown partner {name:?}, expected one of {}", names.join(", ")))
    })
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|error| invalid(&error.to_string()))
}

fn invalid(message: &str) -> Refused {
    Refused(StatusCode::BAD_REQUEST, message.to_owned())
}

fn absent(path: &str) -> Refused {
    let message = format!("nothing is mounted at {path}; see /_simulator");
    Refused(StatusCode::NOT_FOUND, message)
}

fn found(value: &impl Serialize) -> Response {
    Json(value).into_response()
}

// === impl IntoResponse for Refused ===

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}
