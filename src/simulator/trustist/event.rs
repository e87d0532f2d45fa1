//! Trustist's webhooks: the four documented shapes. They are unsigned, as no signature is
//! documented; inventing one would teach the gateway to trust it.

use jiff::Timestamp;

use super::super::json::Object;
use super::super::random;
use super::super::webhook::{Delivery, Event, Order};
use super::settings::{COMPLETE_INVITATION, COMPLETE_MERCHANT, SENT_INVITATION};

/// The webhook that was ordered; by default the one that ends an onboarding.
pub(crate) fn delivery(order: &Order, now: Timestamp) -> Result<Delivery, String> {
    if order.secret.is_some() || order.signed_at.is_some() {
        return Err("Trustist's webhooks are unsigned: no secret, no signed_at".to_owned());
    }
    let body = match order.event()? {
        Event::Verbatim(text) => text.into_bytes(),
        Event::Usual => sample("invitation_complete", now)?.to_bytes(),
        Event::Named(name) => sample(&name, now)?.to_bytes(),
    };
    // No delivery id is documented either: this one names the order, and is not sent.
    let id = order.delivery_id.clone().unwrap_or_else(random::guid);
    Ok(Delivery { id, url: order.url.clone(), headers: Vec::new(), body })
}

fn sample(name: &str, now: Timestamp) -> Result<Object, String> {
    match name {
        "invitation_opened" => Ok(invitation(SENT_INVITATION, now).with("status", "OPENED")),
        "invitation_complete" => Ok(invitation(COMPLETE_INVITATION, now)
            .with("merchantId", COMPLETE_MERCHANT)
            .with("status", "COMPLETE")),
        "payment_pending" => payment("PENDING", now),
        "payment_complete" => payment("COMPLETE", now),
        "payment_failed" => payment("FAILED", now),
        _ => Err(format!(
            "no sample {name:?}; there are invitation_opened, invitation_complete, \
             payment_pending, payment_complete and payment_failed"
        )),
    }
}

fn invitation(id: &str, now: Timestamp) -> Object {
    Object::new()
        .with("eventType", "InvitationStatusChanged")
        .with("invitationId", id)
        .with("updated", ticks(now))
}

fn payment(status: &str, now: Timestamp) -> Result<Object, String> {
    // As text first: a float would lose the last digit.
    let amount = serde_json::value::RawValue::from_string("12.10".to_owned());
    let amount = amount.map_err(|error| error.to_string())?;
    Ok(Object::new()
        .with("eventType", "PaymentStatusChanged")
        .with("merchantId", COMPLETE_MERCHANT)
        .with("paymentId", "simulator-payment-1")
        .with("created", ticks(now))
        .with("amount", amount)
        .with("status", status))
}

// Seven fractional digits: the partner's platform counts in 100 ns.
fn ticks(time: Timestamp) -> String {
    format!("{time:.7}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(fields: &str) -> Order {
        let text = format!(r#"{{"partner":"trustist","url":"http://localhost/"{fields}}}"#);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn samples_have_the_documented_shapes() {
        let sent = |fields| {
            let delivery = delivery(&order(fields), Timestamp::UNIX_EPOCH).unwrap();
            assert!(delivery.headers.is_empty());
            String::from_utf8(delivery.body).unwrap()
        };
        assert_eq!(
            sent(r#","event":"invitation_opened""#),
            format!(
                r#"{{"eventType":"InvitationStatusChanged","invitationId":"{SENT_INVITATION}","updated":"1970-01-01T00:00:00.0000000Z","status":"OPENED"}}"#
            )
        );
        assert!(sent("").contains(r#""merchantId":"simulator-merchant-2","status":"COMPLETE""#));
        assert!(
            sent(r#","event":"payment_failed""#).contains(r#""amount":12.10,"status":"FAILED""#)
        );
        assert_eq!(sent(r#","event":{"x": 1.0}"#), r#"{"x": 1.0}"#);
    }

    #[test]
    fn a_signature_cannot_be_ordered() {
        for fields in [r#","secret":"s""#, r#","signed_at":1"#, r#","event":"unheard_of""#] {
            assert!(delivery(&order(fields), Timestamp::UNIX_EPOCH).is_err(), "{fields}");
        }
    }
}
