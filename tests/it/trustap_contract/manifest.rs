//! One rpc for each operation of the facts, and each says what the facts say.

use std::collections::BTreeMap;

use partner_gateway::operation::{Binding, Catalogue, Kind, Operation, Shape};

use super::facts::{Content, Row, bare, facts};

/// The operations that act for nobody: they quote, or tell of carriers and clients, or
/// create a user.
const FOR_NOBODY: [&str; 9] = [
    "basic.getCharge",
    "basic.getShippoShippingRates",
    "basic_client.getTimelinesForClient",
    "client.getSupportedRegistrationCountries",
    "getSupportedCarriers",
    "p2p.createWithSeller",
    "p2p.getCharge",
    "p2p_client.getTimelinesForClient",
    "users.createGuestUser",
];

/// The rows with their rpcs, the streaming twins left out.
pub(super) fn rpcs() -> Vec<(&'static Row, &'static Operation)> {
    let operations = trustap().filter(|operation| operation.paging.is_none());
    let by_route: BTreeMap<_, _> = operations.map(|o| (route(o), o)).collect();
    let rows = facts().operations.iter();
    rows.map(|row| {
        let found = by_route.get(&(row.verb.clone(), row.bare_path()));
        (row, *found.unwrap_or_else(|| panic!("{}: no rpc for {} {}", row.id, row.verb, row.path)))
    })
    .collect()
}

fn trustap() -> impl Iterator<Item = &'static Operation> {
    let operations = Catalogue::embedded().unwrap().operations().iter().copied();
    operations.filter(|operation| operation.partner == "trustap")
}

fn route(operation: &Operation) -> (String, String) {
    (operation.verb.to_string(), bare(operation.path.as_str()))
}

fn field<'a>(operation: &'a Operation, name: &str) -> Option<&'a Binding> {
    let (index, _) = operation.request().field_named(name)?;
    operation.bindings.get(index)
}

#[test]
fn there_are_176_operations_and_one_rpc_for_each() {
    let pairs = rpcs();
    assert_eq!(pairs.len(), 176);

    let mut names: Vec<_> = pairs.iter().map(|(_, operation)| operation.rpc()).collect();
    names.sort();
    let mut unary: Vec<_> = trustap().filter(|o| o.paging.is_none()).map(Operation::rpc).collect();
    unary.sort();
    assert_eq!(names, unary, "no operation twice, and no rpc without one");
}

#[test]
fn each_section_is_one_service() {
    let mut sections = BTreeMap::new();
    for (row, operation) in rpcs() {
        let service = sections.entry(&row.section).or_insert(&operation.service);
        assert_eq!(**service, operation.service, "{}", row.id);
        assert!(operation.section.starts_with(&row.section), "{}", row.id);
        assert_eq!(operation.document, "Trustap API", "{}", row.id);
    }
    assert_eq!(sections.len(), 10);
}

#[test]
fn an_rpc_takes_every_credential_that_some_edition_takes_the_key_first() {
    for (row, operation) in rpcs() {
        let known: Vec<_> = row
            .credentials
            .iter()
            .map(|word| match word.as_str() {
                "key" => "API_KEY",
                "token" => "USER_TOKEN",
                word => panic!("{word}"),
            })
            .collect();
        let said: Vec<_> = operation.credentials.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(said, known, "{}", row.id);
    }
}

#[test]
fn an_rpc_that_acts_for_a_user_names_them() {
    for (row, operation) in rpcs() {
        let user = field(operation, "trustap_user_id");
        let is_header =
            matches!(user, Some(Binding::User(header)) if header.as_str() == "trustap-user");
        assert_eq!(user.is_some(), is_header, "{}", row.id);
        assert_eq!(is_header, !FOR_NOBODY.contains(&row.id.as_str()), "{}", row.id);
        assert!(is_header || !row.user_header, "{}", row.id);
    }
}

#[test]
fn what_an_edition_deprecates_is_deprecated() {
    for (row, operation) in rpcs() {
        assert_eq!(operation.deprecated, row.deprecated, "{}", row.id);
        assert!(operation.deprecated || !row.section.contains("Listings"), "{}", row.id);
    }
}

#[test]
fn a_request_has_a_body_where_the_partner_reads_one() {
    for (row, operation) in rpcs() {
        assert_eq!(operation.has_body, row.body.is_some(), "{}", row.id);
    }
}

#[test]
fn a_reply_is_read_as_what_the_partner_answers() {
    for (row, operation) in rpcs() {
        let whole = operation.response_body.map(|index| &operation.reply().fields[index]);
        let word = match &row.answer {
            Some(Content::Word(word)) => word.as_str(),
            _ => "",
        };
        let is_list = whole.is_some_and(|field| field.shape == Shape::List);
        let is_free = whole.is_some_and(|field| field.kind == Kind::Struct);
        assert_eq!(is_list, word.starts_with('['), "{}", row.id);
        assert_eq!(is_free, word == "object", "{}", row.id);
        assert_eq!(operation.empty_reply, row.answer.is_none(), "{}", row.id);
        assert!([200, 201, 204].contains(&row.ok), "{}", row.id);
    }
}

/// Pages have a streaming twin each, which is marked as one.
#[test]
fn each_paged_list_has_one_twin_that_walks_it() {
    let lists: Vec<_> = rpcs()
        .into_iter()
        .filter(|(row, _)| row.query.contains_key("before_id") || row.query.contains_key("page"))
        .map(|(_, operation)| operation)
        .collect();
    let twins: Vec<_> = trustap().filter(|operation| operation.paging.is_some()).collect();
    assert_eq!((lists.len(), twins.len()), (5, 5));
    for list in lists {
        let of_list = |twin: &&&Operation| twin.paging.as_ref().unwrap().list.rpc() == list.rpc();
        let twin = twins.iter().find(of_list).unwrap_or_else(|| panic!("{}", list.rpc()));
        assert_eq!(route(twin), route(list));
        assert_eq!(twin.name, list.name.replacen("List", "Stream", 1));
    }
}
