//! The life of a face to face transaction through the gateway, against the simulator: from the
//! quote to the release of the money or its return.

use partner_gateway::simulator::trustap::{BUYER_ID, SELLER_ID};
use serde_json::{Value, json};
use tonic::Code;

use crate::partners::info;
use crate::support::trustap::{EDITIONS_WITH_GUESTS, Trustap};

mod own_token;
mod ways_out;

const DAY: i64 = 24 * 60 * 60;
const HOUR: i64 = 60 * 60;

/// An rpc of the service under test.
fn rpc(method: &str) -> String {
    format!("F2fTransactionService/{method}")
}

/// Two who meet, with the gateway and the simulator between them.
struct Sale {
    trustap: Trustap,
    seller: String,
    buyer: String,
}

// === impl Sale ===

impl Sale {
    /// Between the two full users that the simulator knows.
    async fn of_full_users() -> Self {
        let trustap = Trustap::start().await;
        Self { trustap, seller: SELLER_ID.to_owned(), buyer: BUYER_ID.to_owned() }
    }

    async fn of_guests() -> Self {
        Self::of_guests_through(Trustap::start().await).await
    }

    async fn of_guests_through(trustap: Trustap) -> Self {
        let (seller, buyer) =
            (trustap.guest("sam@example.com").await, trustap.guest("ada@example.com").await);
        Self { trustap, seller, buyer }
    }

    async fn call(&self, method: &str, request: Value) -> Value {
        self.trustap.call(&rpc(method), request).await
    }

    /// A deposit's terms, charged as it is quoted now.
    async fn terms(&self) -> Value {
        let quote = self.call("GetF2fCharge", json!({"currency": "eur", "price": 20000})).await;
        json!({
            "currency": quote["currency"], "deposit_price": quote["price"],
            "deposit_charge": quote["charge"], "deposit_charge_seller": quote["chargeSeller"],
            "charge_calculator_version": quote["chargeCalculatorVersion"],
            "description": "Used bicycle",
        })
    }

    /// A transaction that waits for its buyer.
    async fn offered(&self) -> Value {
        let offer = json!({"trustap_user_id": self.seller, "role": "ROLE_SELLER"});
        let offer = merged(&[&self.terms().await, &offer]);
        self.call("CreateF2fTransaction", offer).await
    }

    /// A transaction that both have joined, by id.
    async fn joined(&self, more: &Value) -> String {
        let (method, parties) = if self.seller.starts_with("1-") {
            let parties = json!({"seller_id": self.seller, "buyer_id": self.buyer});
            ("CreateF2fTransactionWithGuestUser", parties)
        } else {
            ("CreateAndJoinF2fTransaction", json!({"join_user_id": self.buyer}))
        };
        let creator = json!({"trustap_user_id": self.seller, "creator_role": "ROLE_SELLER"});
        let request = merged(&[&self.terms().await, &parties, &creator, more]);
        let created = self.call(method, request).await;
        assert_eq!(created["status"], "joined");
        created["id"].as_str().unwrap().to_owned()
    }

    /// The same with its deposit paid in a browser.
    async fn deposited(&self, more: &Value) -> String {
        let id = self.joined(more).await;
        self.outside(&id, "pay_deposit").await;
        id
    }

    /// The same with its deposit accepted.
    async fn accepted(&self, more: &Value) -> String {
        let id = self.deposited(more).await;
        assert_eq!(self.seller_does("AcceptF2fDeposit", &id).await, "deposit_accepted");
        id
    }

    /// Something that happens outside the API.
    async fn outside(&self, id: &str, action: &str) -> Value {
        self.trustap.control(&format!("p2p/transactions/{id}/{action}"), json!({})).await
    }

    async fn seller_does(&self, method: &str, id: &str) -> String {
        self.does(&self.seller, method, id).await
    }

    async fn buyer_does(&self, method: &str, id: &str) -> String {
        self.does(&self.buyer, method, id).await
    }

    /// Carries out an action and gives the status that it leads to.
    async fn does(&self, user: &str, method: &str, id: &str) -> String {
        let done = self.call(method, action(user, method, id)).await;
        done["status"].as_str().unwrap().to_owned()
    }

    /// The status and the partner's code with which an action is refused, and whether that says
    /// that it was done before.
    async fn refused(&self, user: &str, method: &str, id: &str) -> (Code, String, bool) {
        let refused = self.trustap.refused(&rpc(method), action(user, method, id)).await;
        let info = info(&refused);
        let is_done = info.metadata.get("already_done").is_some_and(|done| done == "true");
        (refused.code(), info.metadata["partner_code"].clone(), is_done)
    }

    async fn sets_price(&self, id: &str) {
        let request = json!({
            "trustap_user_id": self.seller, "transaction_id": id, "currency": "eur",
            "price": 40000, "charge": 2120, "charge_calculator_version": 3,
        });
        let priced = self.call("SetF2fPrice", request).await;
        assert_eq!(priced["status"], "priced");
        assert_eq!(priced["pricing"]["price"], "40000");
    }

    async fn shown(&self, id: &str) -> Value {
        let request = json!({"trustap_user_id": self.buyer, "transaction_id": id});
        self.call("GetF2fTransaction", request).await
    }
}

/// A request that names a transaction, and says why where that is asked for.
fn action(user: &str, method: &str, id: &str) -> Value {
    let request = json!({"trustap_user_id": user, "transaction_id": id});
    if method.starts_with("Cancel") || method.starts_with("Submit") {
        return merged(&[&request, &json!({"description": "It is too small"})]);
    }
    request
}

fn merged(parts: &[&Value]) -> Value {
    let members = parts.iter().flat_map(|part| part.as_object().unwrap().clone());
    Value::Object(members.collect())
}

/// A refusal of what the state does not allow.
fn conflict(code: &str) -> (Code, String, bool) {
    (Code::FailedPrecondition, code.to_owned(), false)
}

/// A refusal that says that it was done before.
fn done(code: &str) -> (Code, String, bool) {
    (Code::FailedPrecondition, code.to_owned(), true)
}

#[tokio::test]
async fn two_guests_go_from_the_quote_to_the_release_of_the_money() {
    for edition in EDITIONS_WITH_GUESTS {
        hand_over(&Sale::of_guests_through(Trustap::under(edition).await).await).await;
    }
}

async fn hand_over(sale: &Sale) {
    let id = sale.deposited(&json!({})).await;
    let accepted = sale.seller_does("AcceptF2fDepositWithGuestSeller", &id).await;
    assert_eq!(accepted, "deposit_accepted");
    sale.sets_price(&id).await;
    sale.outside(&id, "pay_remainder").await;
    let confirm = "ConfirmF2fHandoverWithGuestUser";
    assert_eq!(sale.buyer_does(confirm, &id).await, "buyer_handover_confirmed");
    assert_eq!(sale.seller_does(confirm, &id).await, "seller_handover_confirmed");
    let ended = sale.buyer_does("EndF2fComplaintPeriodWithGuestBuyer", &id).await;
    assert_eq!(ended, "complaint_period_ended");
    sale.trustap.wait(60).await;

    let shown = sale.shown(&id).await;
    assert_eq!(shown["status"], "funds_released");
    assert_eq!((&shown["sellerIsGuest"], &shown["buyerIsGuest"]), (&json!(true), &json!(true)));
    // Both spellings, each of its own type, and what no edition knows.
    assert_eq!(shown["releasedToSeller"], json!(true));
    assert_eq!(shown["relasedToSeller"], shown["fundsReleased"]);
    assert_eq!(shown["amountReleased"], "40000");
    let unknown = shown["additionalFields"].as_object().unwrap();
    assert_eq!(unknown["deposit_payment_capture"], Value::Null);
    assert!(unknown["undocumentedObject"].is_object());
}

#[tokio::test]
async fn the_time_for_complaints_ends_by_itself() {
    let sale = Sale::of_full_users().await;
    let id = sale.accepted(&json!({})).await;
    assert_eq!(sale.seller_does("SkipF2fRemainder", &id).await, "remainder_skipped");
    assert_eq!(sale.seller_does("ConfirmF2fHandover", &id).await, "seller_handover_confirmed");
    assert!(sale.shown(&id).await["complaintPeriodDeadline"].is_string());
    sale.trustap.switch(json!({"release_delay_seconds": HOUR})).await;
    sale.trustap.wait(DAY).await;
    assert_eq!(sale.shown(&id).await["status"], "complaint_period_ended");
    sale.trustap.wait(HOUR).await;
    assert_eq!(sale.shown(&id).await["status"], "funds_released");
}

#[tokio::test]
async fn a_handover_right_after_the_acceptance_finds_the_remainder_not_yet_skipped() {
    let sale = Sale::of_full_users().await;
    // Told by requests, since the second of the default may be over before the call.
    sale.trustap.switch(json!({"remainder_skipped": {"requests": 2}})).await;
    let id = sale.accepted(&json!({"skip_remainder": true})).await;
    let confirm = "ConfirmF2fHandover";
    let early = sale.refused(&sale.seller, confirm, &id).await;
    assert_eq!(early, conflict("remainder_required"));
    assert_eq!(sale.seller_does(confirm, &id).await, "seller_handover_confirmed");
}

#[tokio::test]
async fn a_stale_quote_is_refused_and_a_new_one_accepted() {
    let sale = Sale::of_full_users().await;
    let parties = json!({
        "trustap_user_id": SELLER_ID, "creator_role": "ROLE_SELLER", "join_user_id": BUYER_ID,
    });
    let create = "CreateAndJoinF2fTransaction";
    let refused = async |request: Value| {
        let refused = sale.trustap.refused(&rpc(create), request).await;
        (refused.code(), info(&refused).metadata["partner_code"].clone())
    };
    let stale = merged(&[&sale.terms().await, &parties]);
    sale.trustap.control("charge_versions", json!({"f2f": 4})).await;
    let stale = refused(stale).await;
    assert_eq!(stale, (Code::FailedPrecondition, "incorrect_calc_version".to_owned()));
    let fresh = merged(&[&sale.terms().await, &parties]);
    let wrong = refused(merged(&[&fresh, &json!({"deposit_charge": 1})])).await;
    assert_eq!(wrong, (Code::InvalidArgument, "incorrect_charge".to_owned()));
    assert_eq!(sale.call(create, fresh).await["status"], "joined");
}

#[tokio::test]
async fn a_buyer_joins_by_the_code_and_is_found_in_a_batch() {
    let sale = Sale::of_full_users().await;
    let offered = sale.offered().await;
    let code = json!({"trustap_user_id": BUYER_ID, "join_code": offered["joinCode"]});
    let found = sale.call("GetF2fTransactionByJoinCode", code.clone()).await;
    assert_eq!((&found["id"], &found["status"]), (&offered["id"], &json!("created")));
    let joined = sale.call("JoinF2fTransaction", code).await;
    assert_eq!((&joined["status"], &joined["buyerId"]), (&json!("joined"), &json!(BUYER_ID)));

    let ids = json!({"ids": [offered["id"], "1", offered["id"]]});
    let batch = sale.call("BatchGetF2fTransactions", ids).await;
    let found = batch["transactions"].as_array().unwrap().iter();
    let found: Vec<_> = found.map(|one| one.to_string().contains("Used bicycle")).collect();
    assert_eq!(found, [true, false, true]);
}
