//! The operations of the contract as a committed text, so that a change of what an rpc
//! does at a partner is seen as a change of this text. `BLESS=1 cargo test --test it
//! catalogue` writes it anew.

use std::path::Path;

use partner_gateway::operation::{Catalogue, Operation};

const SNAPSHOT: &str = "tests/snapshots/catalogue.txt";

/// The rpcs whose partner makes something on a GET.
const GETS_THAT_WRITE: [&str; 7] = [
    "CreateAccountSession",
    "CreateNativeVerificationSession",
    "CreateVerificationSession",
    "GetF2fDepositStripeClientSecret",
    "GetF2fRemainderStripeClientSecret",
    "GetStripeClientSecret",
    "GetVerificationMethod",
];

fn line(operation: &Operation) -> String {
    let credentials: Vec<_> = operation.credentials.iter().map(|c| c.as_str()).collect();
    let cells = [
        &operation.rpc(),
        operation.verb.as_str(),
        operation.path.as_str(),
        operation.effect.as_str(),
        &credentials.join(" "),
        &operation.document,
        &operation.section,
    ];
    let marks = [
        operation.deprecated.then(|| "deprecated".to_owned()),
        operation.paging.as_ref().map(|paging| format!("streams {}", paging.list.name)),
        (!operation.already_done.is_empty())
            .then(|| format!("already done: {}", operation.already_done.join(" "))),
    ];
    let marks = marks.into_iter().flatten();
    cells.into_iter().map(str::to_owned).chain(marks).collect::<Vec<_>>().join(" | ")
}

#[test]
fn the_catalogue_is_the_committed_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(SNAPSHOT);
    let operations = Catalogue::embedded().unwrap().operations();
    let found: String = operations.iter().map(|operation| line(operation) + "\n").collect();
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &found).unwrap();
    }

    let committed = std::fs::read_to_string(&path).unwrap();

    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (found, committed) = (lines(&found), lines(&committed));
    let gone: Vec<_> = committed.iter().filter(|line| !found.contains(line)).collect();
    let new: Vec<_> = found.iter().filter(|line| !committed.contains(line)).collect();
    assert!(found == committed, "see {SNAPSHOT}\ngone: {gone:#?}\nnew: {new:#?}");
}

#[test]
fn every_operation_says_what_it_does_and_where_that_is_documented() {
    for operation in Catalogue::embedded().unwrap().operations() {
        let rpc = operation.rpc();

        assert!(!operation.credentials.is_empty(), "{rpc}");
        assert!(!operation.document.is_empty() && !operation.section.is_empty(), "{rpc}");
        let is_get = operation.verb == http::Method::GET;
        let is_written = GETS_THAT_WRITE.contains(&operation.name.as_str());
        assert!(!is_get || is_written != (operation.effect.as_str() == "READ"), "{rpc}");
    }
}
