//! What happens in a transaction outside the API: the buyer pays in a browser, a carrier delivers,
//! the partner's staff decide on a complaint.

use http::StatusCode;
use jiff::Timestamp;

use super::super::super::json::Object;
use super::super::super::partner::Controlled;
use super::super::refusal::Refusal;
use super::super::state::State;
use super::transaction::{Moment, Status, Transaction};
use super::{delivery, keep, payment};

/// `transactions/{id}/{action}`, each a POST without a body.
pub(crate) fn control(state: &mut State, now: Timestamp, id: &str, action: &str) -> Controlled {
    let absent = || (StatusCode::NOT_FOUND, format!("there is no online transaction {id:?}"));
    let found = id.parse().ok().and_then(|id| state.online.find(id));
    let mut transaction = found.cloned().ok_or_else(absent)?;
    let moved = step(&mut transaction, action, now, state).ok_or_else(|| unknown(action))?;
    if moved.is_err() {
        let status = transaction.status.name();
        return Err((StatusCode::CONFLICT, format!("{action} does not follow {status}")));
    }
    keep(state, now, &transaction);
    // Only here, since a guest is sent it by e-mail.
    let secret = Object::new().with("claim_secret", &transaction.claim_secret);
    Ok(transaction.shown(&state.switches).with_all(secret))
}

fn step(
    transaction: &mut Transaction,
    action: &str,
    now: Timestamp,
    state: &State,
) -> Option<Result<(), Refusal>> {
    let complained = || match transaction.status {
        Status::Complained => Ok(()),
        _ => Err(Refusal::invalid("not_complained")),
    };
    let switches = &state.switches;
    Some(match action {
        "show" => Ok(()),
        "pay" => payment::unpaid(transaction).map(|()| transaction.pay(now, switches)),
        "start_payment" => {
            payment::unpaid(transaction).map(|()| transaction.payment.is_in_progress = true)
        }
        "deliver" => delivery::on_its_way(transaction).map(|()| transaction.deliver(now, switches)),
        "release" => complained().map(|()| {
            transaction.end(now, Status::FundsReleased, Moment::FundsReleased);
        }),
        "refund" => complained().map(|()| {
            transaction.end(now, Status::PaymentRefunded, Moment::PaymentRefunded);
        }),
        _ => return None,
    })
}

fn unknown(action: &str) -> (StatusCode, String) {
    let known = "show, pay, start_payment, deliver, release and refund";
    (StatusCode::NOT_FOUND, format!("there is no action {action:?}; there are {known}"))
}

// === impl Transaction ===

impl Transaction {
    fn end(&mut self, now: Timestamp, status: Status, moment: Moment) {
        self.status = status;
        self.note(moment, now);
    }
}
