//! Who may call what.

use super::*;

/// What all bad credentials get.
const UNAUTHORIZED: (u16, &str) = (401, "unauthorized");

fn told(answer: &(u16, Value)) -> (u16, String) {
    code(answer)
}

#[test]
fn every_bad_credential_is_the_same_401() {
    let trustap = simulator();
    let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
    let bad = [
        None,
        Some(basic(API_KEY)),
        Some(basic(&format!("{API_KEY}:password"))),
        Some(basic("wrong:")),
        Some("Basic !".to_owned()),
        Some("Bearer wrong".to_owned()),
        Some("Bearer ".to_owned()),
        Some(format!("Token {API_KEY}")),
        Some(API_KEY.to_owned()),
    ];
    for value in bad {
        let mut request = request(As::Nobody, "GET", "/charge?currency=eur&price=1234", "");
        if let Some(value) = &value {
            request.headers.insert("authorization", value.parse().unwrap());
        }
        let (status, code) = told(&read(&trustap.answer(&request)));
        assert_eq!((status, code.as_str()), UNAUTHORIZED, "{value:?}");
    }
    assert_eq!(trustap.get(As::Key, "/charge?currency=eur&price=1234").0, 200);
}

#[test]
fn a_user_token_ends_with_its_time() {
    let trustap = simulator();
    let token = trustap.token(BUYER_ID);
    assert_eq!(trustap.get(As::Token(&token), "/me/transactions").0, 200);
    trustap.clock.advance(180);
    assert_eq!(told(&trustap.get(As::Token(&token), "/me/transactions")).0, 401);

    let token = trustap.token(BUYER_ID);
    trustap.expire_tokens();
    assert_eq!(told(&trustap.get(As::Token(&token), "/me/transactions")).0, 401);
}

#[test]
fn an_operation_takes_the_credentials_of_the_chosen_edition() {
    let trustap = simulator();
    let token = trustap.token(SELLER_ID);
    let credentials = |which: &str| trustap.switch(&json!({"credentials": which}));
    let status = |who, target: &str| trustap.get(who, target).0;

    let both = |target| [SELLER, As::Token(&token)].map(|who| status(who, target));
    assert_eq!(both("/me/features"), [200, 401], "the default is the newest");
    // A key now and a bearer token once; a bearer token always; either always.
    for (which, features, transactions) in [
        ("any_edition", [200, 200], [401, 200]),
        ("earliest", [401, 200], [401, 200]),
        ("newest", [200, 401], [401, 200]),
        ("either", [200, 200], [200, 200]),
    ] {
        credentials(which);
        assert_eq!(both("/me/features"), features, "{which}");
        assert_eq!(both("/me/transactions"), transactions, "{which}");
        assert_eq!(both("/charge?currency=eur&price=1234"), [200, 200], "{which}");
    }
}

/// What the document itself spells out is taken whatever the chosen edition says.
#[test]
fn the_document_decides_for_the_operations_that_it_spells_out() {
    let trustap = simulator();
    let (seller, id) = (trustap.token(SELLER_ID), trustap.joined(&[]));
    let seller = As::Token(&seller);
    for which in ["newest", "earliest", "any_edition"] {
        trustap.switch(&json!({"credentials": which}));
        let charge = format!("/transactions/{id}/charge?price=1234");
        assert_eq!(trustap.get(SELLER, &charge).0, 200, "{which}");
        assert_eq!(trustap.get(seller, &charge).0, 200, "{which}");
        for action in ["cancel", "cancel_with_guest_user"] {
            let cancel = |who| {
                let path = format!("/transactions/1/{action}");
                trustap.post(who, &path, &Value::Null).0
            };
            // The transaction is unknown, but the credential is not.
            assert_eq!(cancel(seller), 404, "{which}");
            let key = if which == "earliest" { 401 } else { 404 };
            assert_eq!(cancel(SELLER), key, "{which}");
        }
    }
}

#[test]
fn the_key_acts_only_for_users_that_the_client_knows() {
    let trustap = simulator();
    let guest = trustap.guest("guest@example.com");
    let features = |who| trustap.get(who, "/me/features").0;
    assert_eq!(features(As::Key), 403);
    assert_eq!(features(As::For("")), 403);
    assert_eq!(features(SELLER), 200);
    assert_eq!(features(As::For(&guest)), 200);
    assert_eq!(features(As::For("1-5e11e200-0000-4000-8000-000000000009")), 401);
    assert_eq!(features(As::For("5e11e200-0000-4000-8000-000000000009")), 401);
    assert_eq!(features(As::For(UNCONNECTED_ID)), 401);
    // Logging in through the client is what connects a user to it.
    trustap.token(UNCONNECTED_ID);
    assert_eq!(features(As::For(UNCONNECTED_ID)), 200);
}

#[test]
fn a_scope_that_was_not_granted_is_403() {
    let trustap = simulator();
    let id = trustap.joined(&[]);
    let path = format!("users/{SELLER_ID}");
    trustap.control(&path, &json!({"withheld_scopes": ["basic_tx:offline_cancel"]}));
    assert_eq!(trustap.refused(SELLER, &id, "cancel"), (403, "forbidden".to_owned()));
    // Their own token needs no consent.
    let token = trustap.token(SELLER_ID);
    assert_eq!(trustap.done(As::Token(&token), &id, "cancel"), "cancelled");
}

#[test]
fn a_transaction_belongs_to_its_parties() {
    let trustap = simulator();
    let id = trustap.paid(&["require_seller_acceptance"]);
    let stranger = trustap.guest("stranger@example.com");
    let stranger = As::For(&stranger);
    let bare = |status| (status, if status == 403 { "forbidden" } else { "not_found" }.to_owned());
    assert_eq!(told(&trustap.get(stranger, &format!("/transactions/{id}"))), bare(403));
    assert_eq!(trustap.refused(stranger, &id, "cancel"), bare(403));
    assert_eq!(trustap.refused(SELLER, &json!(1), "cancel"), bare(404));
    assert_eq!(trustap.refused(BUYER, &id, "accept_payment"), (403, "not_seller".to_owned()));
    let seller = trustap.token(SELLER_ID);
    let delivery = trustap.refused(As::Token(&seller), &id, "confirm_delivery");
    assert_eq!(delivery, (403, "not_buyer".to_owned()));
    // The client itself sees what is made through it, and acts for nobody.
    assert_eq!(trustap.get(As::Key, &format!("/transactions/{id}")).0, 200);
    assert_eq!(trustap.refused(As::Key, &id, "accept_complaint").0, 403);
}
