use super::*;

#[test]
fn a_new_submerchant_can_sign_with_the_keys_shown_once() {
    let trolley = simulator();
    let body = r#"{"merchant":{"name":"Shop","currency":"EUR"},"onboarding":{"businessCategory":"e-commerce","businessPpm":"100"}}"#;
    let created = value(&call(&trolley, PARENT, "POST", "/v1/profile/submerchant", body));
    let text = |name: &str| created["merchant"][name].as_str().unwrap().to_owned();
    let (id, access, secret) = (text("id"), text("accessKey"), text("secretKey"));
    assert_eq!(
        (created["ok"].as_bool(), id.len(), access.len(), secret.len()),
        (Some(true), 24, 24, 40)
    );
    assert_eq!(created["merchant"]["undocumentedNull"], json!(null));

    let update = r#"{"businessPpm":"10-50"}"#;
    let answer = call(&trolley, (&access, &secret), "POST", "/v1/onboarding/update", update);
    assert_eq!((answer.status.as_u16(), answer.acted), (200, true));
    let mut state = locked(&trolley.state);
    let onboarding = &state.merchant(&id).unwrap().onboarding;
    assert_eq!(onboarding["businessPpm"], json!("10-50"));
    assert_eq!(onboarding["businessCategory"], json!("e-commerce"));
}

#[test]
fn all_bad_fields_of_a_submerchant_are_named() {
    let trolley = simulator();
    let body = r#"{"merchant":{"currency":"euro","nmae":"x"},"onboarding":{"businessCategory":"unheard_of","businessPpm":100},"extra":1}"#;
    let (status, found) = errors(&call(&trolley, PARENT, "POST", "/v1/profile/submerchant", body));
    assert_eq!(status, 400);
    let want = [
        "invalid_field extra",
        "empty_field merchant.name",
        "invalid_field merchant.currency",
        "invalid_field merchant.nmae",
        "invalid_field onboarding.businessCategory",
        "invalid_field onboarding.businessPpm",
    ];
    assert_eq!(found, want);
    let (_, found) = errors(&call(&trolley, PARENT, "POST", "/v1/profile/submerchant", ""));
    assert_eq!(found, ["empty_field merchant"]);
}

#[test]
fn a_sandbox_has_keys_only_when_asked_and_loses_them_when_deleted() {
    let trolley = simulator();
    let made = |body| {
        value(&call(&trolley, PARENT, "POST", "/v1/profile/sandbox", body))["merchant"].clone()
    };
    assert_eq!(made("").get("accessKey"), None);
    assert_eq!(made(r#"{"apikey":false,"merchant":{}}"#).get("secretKey"), None);
    let sandbox = made(r#"{"apikey":true,"merchant":{"name":"Box"}}"#);
    let keys = (sandbox["accessKey"].as_str().unwrap(), sandbox["secretKey"].as_str().unwrap());
    assert_eq!(call(&trolley, keys, "GET", "/v1/balances/info", "").status, 200);

    let delete = json!({"id": sandbox["id"]}).to_string();
    assert_eq!(call(&trolley, PARENT, "DELETE", "/v1/profile/sandbox", &delete).status, 200);
    assert_eq!(call(&trolley, keys, "GET", "/v1/balances/info", "").status, 401);
    let again = call(&trolley, PARENT, "DELETE", "/v1/profile/sandbox", &delete);
    assert_eq!(errors(&again), (403, vec!["invalid_field id".to_owned()]));
    let other = json!({"id": SUBMERCHANT_ID}).to_string();
    assert_eq!(call(&trolley, PARENT, "DELETE", "/v1/profile/sandbox", &other).status, 403);
    switch(&trolley, &json!({"unknown_sandbox": "not_found"}));
    let again = call(&trolley, PARENT, "DELETE", "/v1/profile/sandbox", &delete);
    assert_eq!(errors(&again), (404, vec!["not_found -".to_owned()]));
}

#[test]
fn funding_information_has_fields_of_its_bank() {
    let trolley = simulator();
    let body = value(&call(&trolley, SUBMERCHANT, "GET", "/v1/balances/info", ""));
    let info = body["info"].as_array().unwrap();
    assert_eq!((info.len(), body.get("ok")), (2, None));
    assert_eq!(info[0]["referenceMemo"], json!(format!("SIM-{SUBMERCHANT_ID}")));
    assert!(info[0]["intermediaryBank"].is_object() && info[1]["accountRegion"].is_null());
}

#[test]
fn a_bank_account_is_created_updated_and_masked() {
    let trolley = simulator();
    let path = "/v1/direct-debit/bank-account/";
    let set = |body| call(&trolley, SUBMERCHANT, "POST", path, body);
    let (_, found) = errors(&set(r#"{"enabled":"true","bankId":"12a"}"#));
    let want = [
        "empty_field accountName",
        "empty_field currency",
        "empty_field bankCountry",
        "invalid_field bankId",
        "empty_field accountNum",
        "invalid_field enabled",
    ];
    assert_eq!(found, want);

    let body = r#"{"accountName":"Café","currency":"USD","bankCountry":"US","bankId":"021000021","accountNum":"0012345678","enabled":true}"#;
    let account = value(&set(body))["merchantBankAccount"].clone();
    assert_eq!(
        (account["accountNum"].as_str(), account["iban"].as_str()),
        (Some("********78"), Some("********************78"))
    );
    assert_eq!((&account["country"], &account["branchId"]), (&json!("US"), &json!(null)));
    let account = value(&set(r#"{"enabled":false}"#))["merchantBankAccount"].clone();
    assert_eq!((&account["enabled"], &account["accountName"]), (&json!(false), &json!("Café")));
    switch(&trolley, &json!({"require_all_bank_fields": true}));
    assert_eq!(set(body).status, 400);
}

#[test]
fn widget_colors_are_checked_kept_and_read_back() {
    let trolley = simulator();
    let set = |body| call(&trolley, SUBMERCHANT, "POST", "/v1/iframe/config", body);
    let bad = set(r##"{"colors":{"primary":"#12","unheardOf":"#123"},"x":1}"##);
    let want =
        ["invalid_field x", "invalid_field colors.primary", "invalid_field colors.unheardOf"];
    assert_eq!(errors(&bad), (400, want.map(str::to_owned).to_vec()));
    assert_eq!(set("{}").status, 200);
    assert_eq!(set(r##"{"colors":{"primary":"#abFF22"}}"##).status, 200);
    let read = value(&call(&trolley, SUBMERCHANT, "GET", "/v1/iframe/config", ""));
    assert_eq!((&read["ok"], &read["colors"]), (&json!(true), &json!({"primary": "#abFF22"})));
}
