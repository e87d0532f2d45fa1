//! Trolley's webhooks, signed as receivers in production verify them.

use jiff::Timestamp;
use serde_json::json;

use super::super::json::Object;
use super::super::random;
use super::super::webhook::{Delivery, Event, Order};
use super::settings::{PARENT_ID, Settings};
use super::signature;

/// The webhook that was ordered; by default the one that says that a sub-merchant is live.
pub(crate) fn delivery(
    order: &Order,
    settings: &Settings,
    now: Timestamp,
) -> Result<Delivery, String> {
    let body = match order.event()? {
        Event::Verbatim(text) => text.into_bytes(),
        Event::Usual => sample("merchant_updated", settings)?,
        Event::Named(name) => sample(&name, settings)?,
    };
    let id = order.delivery_id.clone().unwrap_or_else(random::guid);
    let secret = order.secret.as_ref().unwrap_or(&settings.webhook_secret);
    let time = order.signed_at.unwrap_or_else(|| now.as_second());
    let signature = signature::webhook(secret, time, &body);
    let headers = vec![
        ("x-paymentrails-signature", format!("t={time},v1={signature}")),
        ("x-paymentrails-delivery", id.clone()),
        ("x-paymentrails-created", format!("{now:.3}")),
    ];
    Ok(Delivery { id, url: order.url.clone(), headers, body })
}

fn sample(name: &str, settings: &Settings) -> Result<Vec<u8>, String> {
    match name {
        "probe" => Ok(b"{}".to_vec()),
        "merchant_updated" => Ok(event("merchant", "updated", merchant(settings))),
        "payment_processed" => Ok(event("payment", "processed", payment())),
        _ => Err(format!(
            "no sample {name:?}; there are merchant_updated, payment_processed and probe"
        )),
    }
}

fn event(model: &str, action: &str, object: Object) -> Vec<u8> {
    let body = Object::new().with(model, object);
    Object::new().with("model", model).with("action", action).with("body", body).to_bytes()
}

// The document's Merchant interface; its numeric id is not the id that operations use.
fn merchant(settings: &Settings) -> Object {
    Object::new()
        .with("id", 42)
        .with("merchantId", &settings.submerchant_id)
        .with("name", "Simulated sub-merchant")
        .with("parentMerchantId", PARENT_ID)
        .with("status", "approved")
        .with("phone", "+15550100")
        .with("website", "https://submerchant.example.com")
        .with("sandbox", false)
        .with("primaryCurrency", "USD")
        .with("allowedIPs", "")
        .with("allowedDomains", "")
        .with("country", None::<&str>)
        .with("region", None::<&str>)
        .with_undocumented(true)
}

fn payment() -> Object {
    Object::new()
        .with("id", "P-SimuLatedPayment11111111")
        .with("status", "processed")
        .with("sourceAmount", "10.00")
        .with("targetAmount", "12.10")
        .with("tags", json!([]))
        .with_undocumented(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_signed_with_its_own_secret_and_time() {
        let order = r#"{"partner":"trolley","url":"http://localhost/","event":"probe",
            "secret":"whsec-test","signed_at":1709586704,"delivery_id":"d-1"}"#;
        let order: Order = serde_json::from_str(order).unwrap();
        let sent = delivery(&order, &Settings::default(), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(sent.body, b"{}");
        let want = [
            (
                "x-paymentrails-signature",
                "t=1709586704,v1=1658c2c2b8eed2699c20f3803cb275e38cb2974b9a396a4f468e6a85deafb350",
            ),
            ("x-paymentrails-delivery", "d-1"),
            ("x-paymentrails-created", "1970-01-01T00:00:00.000Z"),
        ];
        assert_eq!(sent.headers, want.map(|(name, value)| (name, value.to_owned())));
    }
}
