//! Lists, pages and batches.

use super::*;

fn created(trustap: &Trustap, count: usize) -> Vec<i64> {
    (0..count).map(|_| trustap.joined(&[]).as_i64().unwrap()).collect()
}

fn ids(answer: &(u16, Value)) -> Vec<i64> {
    assert_eq!(answer.0, 200, "{}", answer.1);
    answer.1.as_array().unwrap().iter().map(|item| item["id"].as_i64().unwrap()).collect()
}

#[test]
fn pages_are_cut_by_id_with_the_newest_first() {
    let trustap = simulator();
    let mut made = created(&trustap, 30);
    made.reverse();
    let token = trustap.token(SELLER_ID);
    let list = |query: &str| trustap.get(As::Token(&token), &format!("/me/transactions{query}"));
    assert_eq!(ids(&list("")), made[..25]);
    assert_eq!(ids(&list("?limit=50")), made);
    let before = format!("?limit=10&before_id={}", made[9]);
    assert_eq!(ids(&list(&before)), made[10..20]);
    let between = format!("?before_id={}&after_id={}", made[5], made[8]);
    assert_eq!(ids(&list(&between)), made[6..8]);
    assert!(ids(&list("?before_id=0")).is_empty());

    let refused = |query: &str| code(&list(query));
    for limit in ["0", "51", "-1", "x"] {
        assert_eq!(refused(&format!("?limit={limit}")), invalid("invalid_limit"));
    }
    assert_eq!(refused("?before_id=-1"), invalid("invalid_before_id"));
    assert_eq!(refused("?after_id=x"), invalid("invalid_after_id"));
    // Another's list is empty.
    let other = trustap.token(UNCONNECTED_ID);
    assert!(ids(&trustap.get(As::Token(&other), "/me/transactions")).is_empty());
}

#[test]
fn a_batch_keeps_order_and_repetitions_and_has_null_for_what_is_missing() {
    let trustap = simulator();
    let made = created(&trustap, 2);
    let token = trustap.token(SELLER_ID);
    let batch =
        |ids: &str| trustap.get(As::Token(&token), &format!("/batch/transactions?ids={ids}"));
    let (_, found) = batch(&format!("{},1,{},{}", made[1], made[0], made[1]));
    let found: Vec<_> = found.as_array().unwrap().iter().map(|item| item["id"].as_i64()).collect();
    assert_eq!(found, [Some(made[1]), None, Some(made[0]), Some(made[1])]);
    assert_eq!(code(&batch("")), invalid("ids_missing"));
    assert_eq!(code(&batch("1,x")), invalid("invalid_id"));
    let many = vec!["1"; 51].join(",");
    assert_eq!(code(&batch(&many)), invalid("too_many_ids"));
    assert_eq!(batch(&many[..99]).0, 200);
    let other = trustap.token(UNCONNECTED_ID);
    let target = format!("/batch/transactions?ids={}", made[0]);
    assert_eq!(trustap.get(As::Token(&other), &target).1, json!([null]));
}

#[test]
fn every_change_is_told_to_both_parties_and_read_by_each() {
    let trustap = simulator();
    let id = trustap.paid(&[]);
    let (seller, buyer) = (trustap.token(SELLER_ID), trustap.token(BUYER_ID));
    let (seller, buyer) = (As::Token(&seller), As::Token(&buyer));
    let listed = trustap.get(seller, "/me/notifications");
    assert_eq!(ids(&listed).len(), 2);
    let newest = &listed.1[0];
    assert_eq!(newest["target"], json!(format!("basic/{id}")));
    assert_eq!(newest["description"], "Soccer ticket: paid");
    assert_eq!((&newest["user_id"], newest.get("read")), (&json!(SELLER_ID), None));

    let path = format!("/notifications/{}", newest["id"]);
    let (_, read) = trustap.post(seller, &format!("{path}/mark_as_read"), &Value::Null);
    assert_eq!(read["read"], "2026-01-01T00:00:00Z");
    trustap.clock.advance(5);
    let (_, again) = trustap.post(seller, &format!("{path}/mark_as_read"), &Value::Null);
    assert_eq!(again["read"], read["read"]);
    assert_eq!(trustap.get(seller, &path).1["read"], read["read"]);
    assert_eq!(trustap.get(buyer, &path).0, 404);
    assert_eq!(trustap.get(buyer, "/me/notifications?limit=1").1[0].get("read"), None);
}

#[test]
fn a_client_reads_pages_by_number() {
    let trustap = simulator();
    let made = created(&trustap, 3);
    let token = trustap.token(SELLER_ID);
    let list = |client: &str, query: &str| {
        let target = format!("/clients/{client}/transactions{query}");
        trustap.post(As::Token(&token), &target, &json!({}))
    };
    let (_, page) = list(CLIENT_ID, "?page=2&page_size=2");
    assert_eq!(page["data"][0]["id"], made[0]);
    assert_eq!((&page["total_count"], &page["total_pages"]), (&json!(3), &json!(2)));
    assert_eq!(code(&list(CLIENT_ID, "?page=0")), invalid("page_value_too_low"));
    assert_eq!(code(&list(CLIENT_ID, "?page_size=101")), invalid("excessive_page_size"));
    assert_eq!(list("other", "").0, 404);
    let one = format!("/clients/{CLIENT_ID}/transactions/{}", made[0]);
    assert_eq!(trustap.get(As::Token(&token), &one).1["id"], made[0]);
    let (_, timelines) = trustap.get(As::Key, &format!("/clients/{CLIENT_ID}/timelines"));
    assert_eq!(timelines["complaint_period_seconds"], 86_400);
}

#[test]
fn full_users_are_found_by_their_address() {
    let trustap = simulator();
    let token = trustap.token(SELLER_ID);
    let seller = As::Token(&token);
    let (_, found) = trustap.get(seller, "/users?email=buyer%40example.com");
    assert_eq!(found["id"], BUYER_ID);
    let body = json!({"email": "new@example.com"});
    let (status, made) = trustap.post(seller, "/users", &body);
    assert_eq!(status, 201, "{made}");
    assert_eq!(code(&trustap.post(seller, "/users", &body)), invalid("email_used_for_the_client"));
    let unknown = trustap.get(seller, "/users?email=nobody%40example.com");
    assert_eq!(code(&unknown), invalid("user_not_found"));
}
