use super::*;

#[tokio::test]
async fn control_refuses_what_it_does_not_know() {
    let running = running().await;
    let cases = [
        ("POST", "/faults", json!({"partner": "nobody", "fault": {"kind": "drop_after"}})),
        ("POST", "/faults", json!({"partner": "trolley", "fault": {"kind": "expire_tokens"}})),
        ("POST", "/faults", json!({"partner": "trolley", "fault": {"kind": "x"}, "y": 1})),
        ("PUT", "/switches", json!({"trolley": {"unheard_of": true}})),
        ("PUT", "/switches", json!({"trustist": true})),
        ("POST", "/clock", json!({"seconds": 1})),
        ("POST", "/reset", json!({"only": "journal"})),
        ("GET", "/requests?partner=nobody", Value::Null),
        ("GET", "/requests?since=1", Value::Null),
        ("POST", "/webhooks", json!({"partner": "trolley", "url": "http://x/", "event": "x"})),
        ("POST", "/webhooks", json!({"partner": "trolley", "url": "/hook"})),
        ("POST", "/trustist/invitations/x/advance", json!({"state": "sent"})),
    ];
    for (method, path, body) in cases {
        let (status, answer) = running.control(method, path, body).await;
        assert_eq!((status, answer["error"].is_string()), (400, true), "{path} {answer}");
    }
    assert_eq!(running.control("GET", "/unheard-of", Value::Null).await.0, 404);
    assert_eq!(running.control("PUT", "/clock", Value::Null).await.0, 405);
    assert_eq!(running.raw("GET", "/nobody", "").await.0.split(' ').nth(1), Some("404"));
}

#[tokio::test]
async fn switches_change_together_or_not_at_all() {
    let running = running().await;
    let (_, before) = running.control("GET", "/switches", Value::Null).await;
    let bad = json!({"trolley": {"open_enums": true}, "trustist": {"error_body": "xml"}});
    assert_eq!(running.control("PUT", "/switches", bad).await.0, 400);
    assert_eq!(running.control("GET", "/switches", Value::Null).await.1, before);
    let good = json!({"trolley": {"open_enums": true}});
    let (_, after) = running.control("PUT", "/switches", good).await;
    assert_eq!(after["trolley"]["open_enums"], json!(true));
}

#[tokio::test]
async fn reset_restores_journal_faults_switches_and_clock() {
    let running = running().await;
    running.fault(json!({"kind": "drop_after"})).await;
    running.raw("GET", "/trustist/invitations", "").await;
    let (_, clock) = running.control("POST", "/clock", json!({"advance_seconds": 90})).await;
    assert_eq!(clock["offset_seconds"], json!(90));
    assert_eq!(running.control("POST", "/reset", Value::Null).await.0, 200);
    assert_eq!(running.control("GET", "/requests", Value::Null).await.1, json!([]));
    assert_eq!(running.control("GET", "/faults", Value::Null).await.1, json!([]));
    assert_eq!(running.control("GET", "/clock", Value::Null).await.1["offset_seconds"], json!(0));
}

#[tokio::test]
async fn webhooks_are_sent_signed_and_reported() {
    let running = running().await;
    let url = format!("http://{}/trustist/hook", running.address);
    let order = json!({"partner": "trolley", "url": url, "event": "probe", "delivery_id": "d"});
    let sent = running.control("POST", "/webhooks", order).await.1;
    assert_eq!(sent, json!({"status": 404, "delivery_id": "d"}));
    let path = "/requests?path=/hook";
    let entry = running.control("GET", path, Value::Null).await.1[0].take();
    assert_eq!((entry["method"].as_str(), entry["body"].as_str()), (Some("POST"), Some("{}")));
    let signature = entry["headers"]["x-paymentrails-signature"].as_str().unwrap();
    assert!(signature.starts_with("t="), "{signature}");

    let order = json!({"partner": "trustist", "url": "http://127.0.0.1:1/"});
    let sent = running.control("POST", "/webhooks", order).await.1;
    assert!(sent["status"].is_null() && sent["error"].is_string(), "{sent}");
}
