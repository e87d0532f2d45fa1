//! Twins, users, comma lists and nullable messages that are wrong in one thing.

use super::{CREATE, Case, LIST, each_is_found};

/// What users, comma lists, nullable messages and codes of repeats are for.
const FORMS: [Case; 13] = [
    (
        "optional string trace = 4 [\n    (gateway.options.v1.field).place = PLACE_HEADER,",
        "string account = 5 [(gateway.options.v1.field).place = PLACE_ACCOUNT];\n  \
         optional string trace = 4 [\n    (gateway.options.v1.field).place = PLACE_USER,",
        CREATE,
        "one account or one user",
    ),
    (
        "repeated string ids = 2",
        "optional string ids = 2",
        "ListThingsRequest.ids",
        "is for a list in a query",
    ),
    ("repeated string ids = 2", "repeated Part ids = 2", "ListThingsRequest.ids", "in a query"),
    (
        "repeated string scopes = 1;",
        "repeated string scopes = 1 [(gateway.options.v1.field).format = FORMAT_COMMA_LIST];",
        "PostFormRequest.scopes",
        "is for a list in a query",
    ),
    (
        "map<string, string> labels = 6;",
        "repeated string labels = 6 [(gateway.options.v1.field).format = FORMAT_COMMA_LIST];",
        "Thing.labels",
        "is for a list in a query",
    ),
    (
        "optional Part part = 1;",
        "optional Part part = 1;\n  optional Part other = 2;",
        "NullablePart",
        "exactly one field",
    ),
    ("optional Part part = 1;", "optional string part = 1;", "NullablePart", "exactly one field"),
    ("optional Part part = 1;", "repeated Part part = 1;", "NullablePart", "exactly one field"),
    (
        "repeated NullablePart parts = 7;",
        "NullablePart parts = 7;",
        "Things.parts",
        "only the element of a list",
    ),
    (
        "repeated NullablePart parts = 7;",
        "map<string, NullablePart> parts = 7;",
        "Things.parts",
        "only the element of a list",
    ),
    ("Thing thing = 2;", "repeated NullablePart thing = 2;", CREATE, "is only for replies"),
    (
        "(ListThingsRequest) returns (Things)",
        "(ListThingsRequest) returns (NullablePart)",
        LIST,
        "never null",
    ),
    (
        "effect: EFFECT_READ",
        "effect: EFFECT_READ already_done: \"done\"",
        LIST,
        "is for an IDEMPOTENT",
    ),
];

const TWIN: &str = "ThingService.StreamPages";

/// The twin is the last rpc of the contract: what is replaced is its own.
const TWINS: [Case; 22] = [
    ("returns (stream Thing)", "returns (Thing)", TWIN, "is for a server-streaming rpc"),
    (
        "(PostFormRequest) returns (Thing)",
        "(PostFormRequest) returns (stream Thing)",
        "ThingService.PostForm",
        "needs `paging`",
    ),
    ("list: \"ListPages\"", "list: \"Nothing\"", TWIN, "is no unary rpc beside it"),
    ("list: \"ListPages\"", "list: \"StreamPages\"", TWIN, "is no unary rpc beside it"),
    (
        "get: \"/pages\" response_body: \"twin\"",
        "get: \"/others\"",
        TWIN,
        "its HTTP binding is not",
    ),
    (
        "get: \"/pages\" response_body: \"twin\"",
        "post: \"/pages\"",
        TWIN,
        "its HTTP binding is not",
    ),
    ("effect: EFFECT_READ // twin", "effect: EFFECT_IDEMPOTENT", TWIN, "are READs"),
    (
        "credentials: [CREDENTIAL_USER_TOKEN] // twin",
        "credentials: [CREDENTIAL_API_KEY]",
        TWIN,
        "its credentials are not",
    ),
    ("elements: \"pages\"", "elements: \"nothing\"", TWIN, "are no list of broken.v1.Thing"),
    ("elements: \"pages\"", "elements: \"parts\"", TWIN, "are no list of broken.v1.Thing"),
    ("id: \"number\" before", "before", TWIN, "the paging's \"\" is no int64"),
    ("id: \"number\"", "id: \"id\"", TWIN, "the paging's \"id\" is no int64"),
    ("before: \"before_id\"", "before: \"nothing\"", TWIN, "the paging's \"nothing\" is no int64"),
    (
        "before: \"before_id\"",
        "before: \"before_id\" page: \"before_id\"",
        TWIN,
        "or by `page` and `pages`",
    ),
    (
        "id: \"number\" before: \"before_id\" after: \"after_id\"",
        "",
        TWIN,
        "or by `page` and `pages`",
    ),
    (
        "id: \"number\" before: \"before_id\" after: \"after_id\"",
        "page: \"before_id\" pages: \"total\"",
        TWIN,
        "\"total\" must be `optional`",
    ),
    (
        "optional int64 before_id = 1; // twin",
        "int64 before_id = 1;",
        "StreamPagesRequest.before_id",
        "has no such field",
    ),
    (
        "optional int64 before_id = 1; // twin",
        "optional int32 before_id = 1;",
        "StreamPagesRequest.before_id",
        "has no such field",
    ),
    (
        "optional int64 before_id = 1; // twin",
        "optional int64 before_id = 9;",
        "ListPagesRequest.before_id",
        "has no such field",
    ),
    (
        "optional int64 before_id = 1; // twin",
        "optional int64 other = 1;",
        "StreamPagesRequest.other",
        "has no such field",
    ),
    (
        "optional int64 after_id = 2; // twin",
        "optional int64 after_id = 2 [(gateway.options.v1.field).wire_name = \"x\"];",
        "StreamPagesRequest.after_id",
        "has no such field",
    ),
    ("optional int64 after_id = 2; // twin", "", "ListPagesRequest.after_id", "has no such field"),
];

#[test]
fn what_a_form_is_not_for_is_found() {
    each_is_found(&FORMS);
}

#[test]
fn a_twin_that_is_not_its_lists_is_found() {
    each_is_found(&TWINS);
}
