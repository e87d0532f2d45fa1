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
        operation.reconcile.map(|read| format!("reconcile by {}", read.rpc())),
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

/// The writes that no read of the partner's tells anything of.
const NOT_TO_BE_READ: [(&str, &str); 8] = [
    ("trolley.v1.SubmerchantService/CreateSandboxSubmerchant", SUBMERCHANT),
    ("trolley.v1.SubmerchantService/CreateSubmerchant", SUBMERCHANT),
    ("trustap.v1.F2fMultiUseListingService/CreateF2fMultiUseListing", LISTING),
    ("trustap.v1.F2fSingleUseListingService/CreateF2fSingleUseListing", LISTING),
    ("trustap.v1.OnlineMultiUseListingService/CreateMultiUseListing", LISTING),
    ("trustap.v1.OnlineSingleUseListingService/CreateSingleUseListing", LISTING),
    ("trustap.v1.PersonalService/CreateAccountSession", "another session does no harm"),
    ("trustap.v1.UserService/CreateGuestUser", "guests are read by their id alone"),
];
const SUBMERCHANT: &str = "sub-merchants are not listed: the key intent stays flagged";
const LISTING: &str = "listings are read by their id alone";

/// R8: whoever is told that an outcome is unknown is told how to find out.
#[test]
fn r8_a_write_once_says_what_to_read() {
    let operations = Catalogue::embedded().unwrap().operations();
    let writes = operations.iter().filter(|o| o.effect.as_str() == "WRITE_ONCE");
    let unread = writes.filter(|o| o.reconcile.is_none()).map(|o| o.rpc());
    let known = NOT_TO_BE_READ.map(|(rpc, _)| rpc.to_owned());
    assert_eq!(unread.collect::<Vec<_>>(), known);
    for operation in operations {
        let Some(read) = operation.reconcile else { continue };
        assert_eq!(operation.effect.as_str(), "WRITE_ONCE", "{}", operation.rpc());
        assert_eq!((read.effect.as_str(), &read.partner), ("READ", &operation.partner));
    }
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
