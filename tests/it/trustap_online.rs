//! The life of an online transaction through the gateway, against the simulator: from guests and
//! a quote to money that is released or given back, and what a repeat or a wrong step is told.

use partner_gateway::simulator::trustap::SELLER_ID;
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::partners::{arrived, info};
use crate::support::trustap::{EDITIONS_WITH_GUESTS, Trustap};

mod own_token;

const DAY: i64 = 24 * 60 * 60;

/// An rpc of the service under test.
fn rpc(method: &str) -> String {
    format!("OnlineTransactionService/{method}")
}

/// Two guests and what they trade.
struct Trade {
    trustap: Trustap,
    seller: String,
    buyer: String,
}

// === impl Trade ===

impl Trade {
    async fn start() -> Self {
        Self::through(Trustap::start().await).await
    }

    async fn through(trustap: Trustap) -> Self {
        let seller = trustap.guest("sam@example.com").await;
        let buyer = trustap.guest("ada@example.com").await;
        Self { trustap, seller, buyer }
    }

    /// A transaction of the two, at the charge that was quoted for it.
    async fn joined(&self, features: &[&str]) -> Value {
        let quote = json!({"currency": "eur", "price": 1234});
        let quote = self.trustap.call(&rpc("GetCharge"), quote).await;
        let request = json!({
            "trustapUserId": self.seller, "sellerId": self.seller, "buyerId": self.buyer,
            "creatorRole": "ROLE_SELLER", "description": "Soccer ticket", "currency": "eur",
            "price": quote["price"], "charge": quote["charge"],
            "chargeSeller": quote["chargeSeller"],
            "chargeCalculatorVersion": quote["chargeCalculatorVersion"], "features": features,
        });
        let made = self.trustap.call(&rpc("CreateTransactionWithGuestUser"), request).await;
        assert_eq!(made["status"], "joined");
        made["id"].clone()
    }

    async fn paid(&self, features: &[&str]) -> Value {
        let id = self.joined(features).await;
        self.order(&id, "pay").await;
        id
    }

    async fn tracked(&self) -> Value {
        let id = self.paid(&[]).await;
        self.as_seller("TrackTransactionWithGuestSeller", &id, &parcel()).await;
        id
    }

    async fn delivered(&self) -> Value {
        let id = self.tracked().await;
        self.as_buyer("ConfirmDeliveryWithGuestBuyer", &id, &json!({})).await;
        id
    }

    async fn complained(&self) -> Value {
        let id = self.delivered().await;
        let complaint = json!({"description": "Item was fake"});
        self.as_buyer("SubmitComplaintWithGuestBuyer", &id, &complaint).await;
        id
    }

    /// What happens at the partner without a call.
    async fn order(&self, id: &Value, action: &str) {
        let path = format!("transactions/{}/{action}", id.as_str().unwrap());
        self.trustap.control(&path, json!({})).await;
    }

    async fn as_seller(&self, method: &str, id: &Value, more: &Value) -> Value {
        self.trustap.call(&rpc(method), action(&self.seller, id, more)).await
    }

    async fn as_buyer(&self, method: &str, id: &Value, more: &Value) -> Value {
        self.trustap.call(&rpc(method), action(&self.buyer, id, more)).await
    }

    async fn refused_to(&self, user: &str, method: &str, id: &Value, more: &Value) -> Status {
        self.trustap.refused(&rpc(method), action(user, id, more)).await
    }

    async fn status(&self, id: &Value) -> Value {
        let request = json!({"transactionId": id});
        self.trustap.call(&rpc("GetTransaction"), request).await["status"].take()
    }
}

fn action(user: &str, id: &Value, more: &Value) -> Value {
    let mut request = json!({"trustapUserId": user, "transactionId": id});
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request
}

fn parcel() -> Value {
    json!({"carrier": "ups", "trackingCode": "1Z999"})
}

/// The status, the partner's code, and whether the gateway takes it for done.
fn told(status: &Status) -> (Code, String, bool) {
    let metadata = info(status).metadata;
    let code = metadata.get("partner_code").cloned().unwrap_or_default();
    (status.code(), code, metadata.get("already_done").is_some_and(|done| done == "true"))
}

fn already(code: &str) -> (Code, String, bool) {
    (Code::FailedPrecondition, code.to_owned(), true)
}

fn too_late(code: &str) -> (Code, String, bool) {
    (Code::FailedPrecondition, code.to_owned(), false)
}

#[tokio::test]
async fn guests_trade_from_a_quote_to_the_release_of_the_money() {
    for edition in EDITIONS_WITH_GUESTS {
        sell(&Trade::through(Trustap::under(edition).await).await).await;
    }
}

async fn sell(trade: &Trade) {
    let id = trade.joined(&[]).await;
    trade.order(&id, "pay").await;
    assert_eq!(trade.status(&id).await, "paid");

    let tracked = trade.as_seller("TrackTransactionWithGuestSeller", &id, &parcel()).await;
    assert_eq!(tracked["tracking"]["trackingCode"], "1Z999");
    let delivered = trade.as_buyer("ConfirmDeliveryWithGuestBuyer", &id, &json!({})).await;
    assert_eq!(delivered["status"], "delivered");
    assert!(delivered["complaintPeriodDeadline"].is_string(), "{delivered}");

    trade.trustap.wait(DAY).await;
    assert_eq!(trade.status(&id).await, "complaint_period_ended");
    trade.trustap.wait(60).await;
    let request = json!({"transactionId": id});
    let released = trade.trustap.call(&rpc("GetTransaction"), request).await;
    assert_eq!(released["status"], "funds_released");
    assert_eq!(
        (&released["amountReleased"], &released["releasedToSeller"]),
        (&json!("1234"), &json!(true))
    );
    // What the contract does not know is kept, at every level.
    assert_eq!(released["additionalFields"]["undocumentedInteger"], "9007199254740993");
    assert!(released["tracking"]["additionalFields"].is_object(), "{released}");
}

#[tokio::test]
async fn a_complaint_gives_the_money_back_when_the_seller_concedes() {
    let trade = Trade::start().await;
    let id = trade.complained().await;
    assert_eq!(trade.status(&id).await, "complained");
    let conceded = trade.as_seller("AcceptComplaint", &id, &json!({})).await;
    assert_eq!(conceded["complaint"]["description"], "Item was fake");
    trade.trustap.wait(60 * 60).await;
    let request = json!({"transactionId": id});
    let refunded = trade.trustap.call(&rpc("GetTransaction"), request).await;
    assert_eq!(
        (&refunded["status"], &refunded["amountRefunded"]),
        (&json!("payment_refunded"), &json!("1312"))
    );
}

/// Cancelling in each state: done, done before, or too late.
#[tokio::test]
async fn a_transaction_is_cancelled_in_each_state_or_refused() {
    let trade = Trade::start().await;
    for method in ["CancelTransaction", "CancelTransactionWithGuestUser"] {
        let cancel =
            async |id: &Value| trade.refused_to(&trade.buyer, method, id, &json!({})).await;
        let joined = trade.joined(&[]).await;
        let cancelled = trade.as_seller(method, &joined, &json!({})).await;
        assert_eq!(cancelled["status"], "cancelled");
        assert_eq!(told(&cancel(&joined).await), already("already_cancelled"));

        let accepting = trade.paid(&["require_seller_acceptance"]).await;
        let cancelled = trade.as_buyer(method, &accepting, &json!({})).await;
        assert_eq!(cancelled["status"], "cancelled_with_payment");
        assert_eq!(told(&cancel(&accepting).await), already("already_cancelled"));
        trade.trustap.wait(60 * 60).await;
        assert_eq!(trade.status(&accepting).await, "payment_refunded");
        assert_eq!(told(&cancel(&accepting).await), already("already_cancelled"));

        assert_eq!(told(&cancel(&trade.paid(&[]).await).await), too_late("already_paid"));
        for late in [trade.tracked().await, trade.delivered().await, trade.complained().await] {
            assert_eq!(told(&cancel(&late).await), too_late("tracking_already_added"));
        }
    }
    let unknown =
        trade.refused_to(&trade.buyer, "CancelTransaction", &json!("1"), &json!({})).await;
    assert_eq!(
        (unknown.code(), info(&unknown).reason.as_str()),
        (Code::NotFound, "PARTNER_NOT_FOUND")
    );
}

/// The states outside of the ordinary way: before anybody joined, and when all is over.
#[tokio::test]
async fn a_transaction_is_cancelled_before_anybody_joins_and_not_after_its_end() {
    let trade = Trade::start().await;
    let request = json!({
        "trustapUserId": SELLER_ID, "role": "ROLE_SELLER", "description": "Bicycle",
        "currency": "eur", "price": 20_000, "charge": 640, "chargeSeller": 0,
        "chargeCalculatorVersion": 5,
    });
    for method in ["CancelTransaction", "CancelTransactionWithGuestUser"] {
        let created = trade.trustap.call(&rpc("CreateTransaction"), request.clone()).await;
        assert_eq!(created["status"], "created");
        let cancel = json!({"trustapUserId": SELLER_ID, "transactionId": created["id"]});
        let cancelled = trade.trustap.call(&rpc(method), cancel.clone()).await;
        assert_eq!(cancelled["status"], "cancelled");
        let again = trade.trustap.refused(&rpc(method), cancel).await;
        assert_eq!(told(&again), already("already_cancelled"));
    }
    let over = trade.delivered().await;
    for (seconds, state) in [(24 * 60 * 60, "complaint_period_ended"), (60, "funds_released")] {
        trade.trustap.wait(seconds).await;
        assert_eq!(trade.status(&over).await, state);
        let late = trade.refused_to(&trade.buyer, "CancelTransaction", &over, &json!({})).await;
        assert_eq!(told(&late), too_late("tracking_already_added"), "{state}");
    }
}

/// The actions that a state guards, in their order: who takes them, what they say when it is too
/// early, and what when they are repeated.
const STEPS: [(&str, Who, &str, &str); 4] = [
    ("AcceptPayment", Who::Seller, "transaction_not_paid_yet", "payment_already_accepted"),
    ("Track", Who::Seller, "payment_details_not_added", "tracking_already_added"),
    ("ConfirmDelivery", Who::Buyer, "tracking_not_added", "delivery_already_set"),
    ("SubmitComplaint", Who::Buyer, "unconfirmed_delivery", "already_complained"),
];

#[derive(Clone, Copy)]
enum Who {
    Seller,
    Buyer,
}

impl Trade {
    /// The rpc for guests, the user and the body of a step.
    fn step(&self, name: &str, who: Who) -> (String, &str, Value) {
        let (role, user) = match who {
            Who::Seller => ("Seller", &self.seller),
            Who::Buyer => ("Buyer", &self.buyer),
        };
        let (name, body) = match name {
            "Track" => ("TrackTransaction", parcel()),
            "SubmitComplaint" => (name, json!({"description": "Fake"})),
            _ => (name, json!({})),
        };
        (format!("{name}WithGuest{role}"), user, body)
    }
}

#[tokio::test]
async fn a_repeated_step_is_told_as_done_and_a_wrong_one_is_not() {
    let trade = Trade::start().await;
    let id = trade.joined(&["require_seller_acceptance"]).await;
    for (name, who, early, _) in STEPS {
        let (method, user, body) = trade.step(name, who);
        let refused = trade.refused_to(user, &method, &id, &body).await;
        assert_eq!(told(&refused), too_late(early), "{method}");
    }
    trade.order(&id, "pay").await;
    for (name, who, _, repeated) in STEPS {
        let (method, user, body) = trade.step(name, who);
        trade.trustap.call(&rpc(&method), action(user, &id, &body)).await;
        let refused = trade.refused_to(user, &method, &id, &body).await;
        assert_eq!(told(&refused), already(repeated), "{method}");
    }
}

#[tokio::test]
async fn a_complaint_is_the_sellers_to_concede() {
    let trade = Trade::start().await;
    let id = trade.complained().await;
    let stranger = trade.trustap.guest("eve@example.com").await;
    let refused = trade.refused_to(&stranger, "AcceptComplaint", &id, &json!({})).await;
    assert_eq!(refused.code(), Code::PermissionDenied);
    let refused = trade.refused_to(&trade.buyer, "AcceptComplaint", &id, &json!({})).await;
    assert_eq!(told(&refused), (Code::PermissionDenied, "not_seller".to_owned(), false));
}

#[tokio::test]
async fn a_stale_quote_is_told_apart_from_a_wrong_charge() {
    let trade = Trade::start().await;
    let create = |charge: i64, version: i64| {
        let request = json!({
            "sellerId": trade.seller, "buyerId": trade.buyer, "creatorRole": "ROLE_SELLER",
            "description": "Ticket", "currency": "eur", "price": 1234, "charge": charge,
            "chargeCalculatorVersion": version,
        });
        trade.trustap.refused("OnlineTransactionService/CreateTransactionWithGuestUser", request)
    };
    let wrong = create(77, 5).await;
    assert_eq!(told(&wrong), (Code::InvalidArgument, "incorrect_charge".to_owned(), false));
    trade.trustap.control("charge_versions", json!({"online": 6})).await;
    assert_eq!(told(&create(78, 5).await), too_late("incorrect_calc_version"));
    // A new quote is all that it takes.
    trade.joined(&[]).await;
}

#[tokio::test]
async fn a_full_user_claims_a_guests_sale_through_the_client() {
    let trade = Trade::start().await;
    let id = trade.joined(&[]).await;
    let claim = action(SELLER_ID, &id, &json!({}));
    let claimed = trade.trustap.call(&rpc("ClaimTransactionForSeller"), claim.clone()).await;
    assert_eq!(
        (&claimed["sellerId"], &claimed["buyerId"]),
        (&json!(SELLER_ID), &json!(trade.buyer))
    );
    let again = trade.trustap.refused(&rpc("ClaimTransactionForSeller"), claim).await;
    assert_eq!(told(&again), already("already_claimed"));
    let sent = arrived(&trade.trustap.0, "trustap", "*").await;
    assert_eq!(sent.last().unwrap()["headers"]["trustap-user"], SELLER_ID);
}

/// The case that a state-guarded action is IDEMPOTENT for: its answer is lost, and the
/// gateway's own repeat finds it done.
#[tokio::test]
async fn a_cancellation_whose_answer_is_lost_is_found_done() {
    let trade = Trade::start().await;
    let id = trade.joined(&[]).await;
    let path = format!("/api/v1/transactions/{}/cancel", id.as_str().unwrap());
    let fault = json!({"partner": "trustap", "path": path, "fault": {"kind": "drop_after"}});
    trade.trustap.0.control().fault(fault).await;
    let found = trade.refused_to(&trade.buyer, "CancelTransaction", &id, &json!({})).await;
    assert_eq!(told(&found), already("already_cancelled"));
    let metadata = info(&found).metadata;
    assert_eq!((&*metadata["outcome"], &*metadata["attempts"]), ("UNKNOWN", "2"));
    let cancelled = arrived(&trade.trustap.0, "trustap", &path).await;
    let effects = cancelled.iter().filter(|request| request["acted"] == true).count();
    assert_eq!((cancelled.len(), effects), (2, 1));
}

#[tokio::test]
async fn a_bearer_only_call_without_a_token_says_what_is_missing() {
    let trade = Trade::start().await;
    let id = trade.tracked().await;
    let refused = trade.refused_to(&trade.buyer, "ConfirmDelivery", &id, &json!({})).await;
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(info(&refused).reason, "PARTNER_CREDENTIAL_MISSING");
    assert_eq!(trade.status(&id).await, "tracked");
}
