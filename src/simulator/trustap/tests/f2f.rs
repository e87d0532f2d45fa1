//! The face to face life cycle, from the quote to the release of the money.

use super::*;

mod conflicts;
mod joining;
mod money;
mod shape;

/// What every face to face transaction is created with; the charge is as it is quoted.
pub(super) fn deposit() -> Value {
    json!({
        "charge_calculator_version": 3, "currency": "eur", "deposit_charge": 1080,
        "deposit_price": 20000, "description": "Used bicycle",
    })
}

pub(super) fn with(mut body: Value, more: &Value) -> Value {
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

impl Trustap {
    /// A transaction that the two full users have joined.
    fn met(&self, more: &Value) -> Value {
        let parties = json!({
            "creator_role": "seller", "join_user_id": BUYER_ID, "deposit_charge_seller": 0,
        });
        let body = with(with(deposit(), &parties), more);
        let (status, shown) = self.post(SELLER, "/p2p/me/transactions/create_and_join", &body);
        assert_eq!((status, &shown["status"]), (201, &json!("joined")), "{shown}");
        shown["id"].clone()
    }

    /// The same with its deposit paid in a browser.
    fn deposited(&self, more: &Value) -> Value {
        let id = self.met(more);
        assert_eq!(self.outside(&id, "pay_deposit"), "deposit_paid");
        id
    }

    /// The same with its deposit accepted.
    fn accepted(&self, more: &Value) -> Value {
        let id = self.deposited(more);
        assert_eq!(self.step(SELLER, &id, "accept_deposit"), "deposit_accepted");
        id
    }

    /// The same with its remainder waived.
    fn ready(&self) -> Value {
        let id = self.accepted(&json!({}));
        assert_eq!(self.step(SELLER, &id, "skip_remainder"), "remainder_skipped");
        id
    }

    /// Something that happens outside the API, and the status that it leads to.
    fn outside(&self, id: &Value, action: &str) -> String {
        let shown = self.control(&format!("p2p/transactions/{id}/{action}"), &Value::Null);
        shown["status"].as_str().unwrap().to_owned()
    }

    fn act(&self, who: As<'_>, id: &Value, action: &str) -> (u16, Value) {
        let body = match action {
            _ if action.starts_with("cancel") || action.starts_with("complain") => {
                json!({"description": "It is too small"})
            }
            _ => Value::Null,
        };
        self.post(who, &format!("/p2p/transactions/{id}/{action}"), &body)
    }

    /// An action that succeeds, and the status that it leads to.
    fn step(&self, who: As<'_>, id: &Value, action: &str) -> String {
        let (status, shown) = self.act(who, id, action);
        assert_eq!(status, 200, "{action}: {shown}");
        shown["status"].as_str().unwrap().to_owned()
    }

    /// The code with which an action is refused.
    fn stopped(&self, who: As<'_>, id: &Value, action: &str) -> (u16, String) {
        code(&self.act(who, id, action))
    }

    fn met_again(&self, id: &Value) -> Value {
        let (status, shown) = self.get(BUYER, &format!("/p2p/transactions/{id}"));
        assert_eq!(status, 200, "{shown}");
        shown
    }
}

#[test]
fn a_sale_goes_from_the_quote_to_the_release_of_the_money() {
    let simulator = simulator();
    let (status, quote) = simulator.get(As::Key, "/p2p/charge?currency=eur&price=20000");
    assert_eq!((status, &quote["charge"]), (200, &json!(1080)));
    assert_eq!(quote["charge_calculator_version"], json!(3));

    let id = simulator.accepted(&json!({}));
    let price = json!({
        "charge": 2120, "charge_calculator_version": 3, "currency": "eur", "price": 40000,
    });
    let (status, priced) =
        simulator.post(SELLER, &format!("/p2p/transactions/{id}/set_price"), &price);
    assert_eq!((status, &priced["status"]), (200, &json!("priced")), "{priced}");
    assert_eq!(priced["pricing"]["price"], json!(40000));
    assert_eq!(simulator.stopped(BUYER, &id, "confirm_handover"), invalid("remainder_required"));
    assert_eq!(simulator.outside(&id, "pay_remainder"), "remainder_paid");
    assert_eq!(simulator.step(BUYER, &id, "confirm_handover"), "buyer_handover_confirmed");
    assert_eq!(simulator.step(SELLER, &id, "confirm_handover"), "seller_handover_confirmed");

    let shown = simulator.met_again(&id);
    assert_eq!(shown["complaint_period_deadline"], json!("2026-01-02T00:00:00Z"));
    simulator.clock.advance(24 * 60 * 60 - 1);
    assert_eq!(simulator.met_again(&id)["status"], json!("seller_handover_confirmed"));
    simulator.clock.advance(1);
    assert_eq!(simulator.met_again(&id)["status"], json!("complaint_period_ended"));
    simulator.clock.advance(60);
    let shown = simulator.met_again(&id);
    assert_eq!(shown["status"], json!("funds_released"));
    assert_eq!(shown["funds_released"], json!("2026-01-02T00:01:00Z"));
    // The early editions' misspelt member is a time, the later one a truth value.
    assert_eq!(shown["relased_to_seller"], shown["funds_released"]);
    assert_eq!(shown["released_to_seller"], json!(true));
    assert_eq!(shown["amount_released"], json!(40000));

    let token = simulator.token(SELLER_ID);
    let (_, told) = simulator.get(As::Token(&token), "/me/notifications?limit=2");
    let told: Vec<_> =
        told.as_array().unwrap().iter().map(|one| one["description"].clone()).collect();
    assert_eq!(told, ["Used bicycle: funds released", "Used bicycle: complaint period ended"]);
}

#[test]
fn the_buyer_can_end_the_time_for_complaints() {
    let simulator = simulator();
    let id = simulator.ready();
    assert_eq!(
        simulator.stopped(BUYER, &id, "end_complaint_period"),
        invalid("handover_not_confirmed")
    );
    simulator.step(SELLER, &id, "confirm_handover");
    assert_eq!(simulator.step(BUYER, &id, "end_complaint_period"), "complaint_period_ended");
    assert_eq!(
        simulator.stopped(BUYER, &id, "end_complaint_period"),
        invalid("complaint_period_expired")
    );
    assert_eq!(simulator.stopped(BUYER, &id, "complain"), invalid("complaint_period_expired"));
    simulator.clock.advance(60);
    assert_eq!(
        simulator.stopped(BUYER, &id, "end_complaint_period"),
        invalid("funds_already_released")
    );
    assert_eq!(simulator.stopped(BUYER, &id, "complain"), invalid("funds_already_released"));
}

#[test]
fn a_complaint_stops_the_release_and_a_conceded_one_brings_the_money_back() {
    let simulator = simulator();
    let id = simulator.ready();
    assert_eq!(simulator.stopped(SELLER, &id, "accept_complaint"), invalid("not_complained"));
    simulator.step(SELLER, &id, "confirm_handover");
    assert_eq!(simulator.step(BUYER, &id, "complain"), "complained");
    assert_eq!(simulator.stopped(BUYER, &id, "complain"), invalid("already_complained"));
    simulator.clock.advance(10 * 24 * 60 * 60);
    assert_eq!(simulator.met_again(&id)["status"], json!("complained"));

    let (status, conceded) = simulator.act(SELLER, &id, "accept_complaint");
    assert_eq!((status, &conceded["status"]), (200, &json!("complained")));
    assert!(conceded["complaint"]["accepted"].is_string(), "{conceded}");
    assert_eq!(
        simulator.stopped(SELLER, &id, "accept_complaint"),
        invalid("deposit_already_refunded")
    );
    simulator.clock.advance(60 * 60);
    let shown = simulator.met_again(&id);
    assert_eq!(shown["status"], json!("deposit_refunded"));
    assert_eq!(shown["amount_refunded"], json!(20000));
}

#[test]
fn a_remainder_that_is_skipped_by_itself_is_skipped_a_moment_late() {
    let simulator = simulator();
    let id = simulator.accepted(&json!({"skip_remainder": true}));
    assert_eq!(simulator.stopped(SELLER, &id, "confirm_handover"), invalid("remainder_required"));
    simulator.clock.advance(1);
    assert_eq!(simulator.step(SELLER, &id, "confirm_handover"), "seller_handover_confirmed");
    assert_eq!(simulator.met_again(&id)["remainder_skipped"], json!("2026-01-01T00:00:01Z"));

    simulator.switch(&json!({"remainder_skipped": {"requests": 2}}));
    let id = simulator.accepted(&json!({"skip_remainder": true}));
    assert_eq!(simulator.stopped(SELLER, &id, "confirm_handover"), invalid("remainder_required"));
    assert_eq!(simulator.step(SELLER, &id, "confirm_handover"), "seller_handover_confirmed");
}

#[test]
fn cancelling_gives_the_deposit_back_without_the_charge() {
    let simulator = simulator();
    let joined = simulator.met(&json!({}));
    assert_eq!(simulator.step(BUYER, &joined, "cancel_with_description"), "cancelled");
    let before = simulator.deposited(&json!({}));
    let after = simulator.accepted(&json!({}));
    for (who, id) in [(SELLER, &before), (BUYER, &after)] {
        assert_eq!(simulator.step(who, id, "cancel_with_description"), "cancelled_with_deposit");
        let again = simulator.stopped(who, id, "cancel_with_description");
        assert_eq!(again, invalid("already_cancelled"));
    }
    simulator.clock.advance(60 * 60);
    let shown = simulator.met_again(&after);
    assert_eq!(shown["status"], json!("deposit_refunded"));
    assert_eq!(shown["amount_refunded"], json!(20000));
    assert_eq!(shown["cancellation"]["reason"], json!("It is too small"));
    // Nothing was paid, so nothing comes back.
    assert_eq!(simulator.met_again(&joined)["status"], json!("cancelled"));
}
