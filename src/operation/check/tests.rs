//! Contracts that are whole but for one thing, and what is said of it.

use std::path::Path;

use super::*;
use crate::operation::catalogue::DESCRIPTORS;

#[path = "tests/forms.rs"]
mod forms;

/// A contract in which nothing is wrong.
const WHOLE: &str = r#"
syntax = "proto3";
package broken.v1;
import "buf/validate/validate.proto";
import "gateway/options/v1/options.proto";
import "google/api/annotations.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/struct.proto";

service ThingService {
  option (gateway.options.v1.partner) = "test";
  rpc CreateThing(CreateThingRequest) returns (Thing) {
    option (google.api.http) = {post: "/things/{id}" body: "*"};
    option (gateway.options.v1.operation) = {
      effect: EFFECT_WRITE_ONCE
      credentials: [CREDENTIAL_API_KEY]
      source: {document: "d" section: "s"}
      echo: ["id"]
    };
  }
  rpc ListThings(ListThingsRequest) returns (Things) {
    option (google.api.http) = {get: "/things" response_body: "things"};
    option (gateway.options.v1.operation) = {
      effect: EFFECT_READ
      credentials: [CREDENTIAL_API_KEY]
      source: {document: "d" section: "s"}
    };
  }
  rpc PostForm(PostFormRequest) returns (Thing) {
    option (google.api.http) = {post: "/form" body: "*"};
    option (gateway.options.v1.operation) = {
      effect: EFFECT_IDEMPOTENT
      credentials: [CREDENTIAL_API_KEY]
      source: {document: "d" section: "s"}
      encoding: ENCODING_FORM
      already_done: ["already_posted"]
    };
  }
  rpc ListPages(ListPagesRequest) returns (Pages) {
    option (google.api.http) = {get: "/pages" response_body: "pages"};
    option (gateway.options.v1.operation) = {
      effect: EFFECT_READ
      credentials: [CREDENTIAL_USER_TOKEN]
      source: {document: "d" section: "s"}
    };
  }
  rpc StreamPages(StreamPagesRequest) returns (stream Thing) {
    option (google.api.http) = {get: "/pages" response_body: "twin"};
    option (gateway.options.v1.operation) = {
      effect: EFFECT_READ // twin
      credentials: [CREDENTIAL_USER_TOKEN] // twin
      source: {document: "d" section: "s"}
      paging: {list: "ListPages" elements: "pages" id: "number" before: "before_id" after: "after_id"}
    };
  }
  rpc SetNotes(SetNotesRequest) returns (Notes) {
    option (google.api.http) = {put: "/notes" body: "notes" response_body: "notes"};
    option (gateway.options.v1.operation) = {
      effect: EFFECT_IDEMPOTENT
      credentials: [CREDENTIAL_API_KEY]
      source: {document: "d" section: "s"}
    };
  }
}

message CreateThingRequest {
  string id = 1;
  Thing thing = 2;
  optional string country = 3 [(buf.validate.field).string.pattern = "^[A-Z]{2}$"];
  optional string trace = 4 [
    (gateway.options.v1.field).place = PLACE_HEADER,
    (gateway.options.v1.field).header = "x-trace"
  ];
  google.protobuf.Struct additional_fields = 1000;
  string request_id = 1001 [
    (buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE,
    (buf.validate.field).string.uuid = true,
    (gateway.options.v1.field).place = PLACE_REQUEST_ID
  ];
}
message ListThingsRequest {
  optional int32 limit = 1;
  repeated string ids = 2 [(gateway.options.v1.field).format = FORMAT_COMMA_LIST];
  string user = 3 [
    (gateway.options.v1.field).place = PLACE_USER,
    (gateway.options.v1.field).header = "x-user"
  ];
}
message ListPagesRequest {
  optional int64 before_id = 1;
  optional int64 after_id = 2;
}
message StreamPagesRequest {
  optional int64 before_id = 1; // twin
  optional int64 after_id = 2; // twin
}
message Pages {
  repeated Thing pages = 1;
  repeated Part parts = 2;
  int64 total = 3;
  google.protobuf.Struct additional_fields = 1000;
}
message SetNotesRequest {
  google.protobuf.Struct notes = 1;
}
message Notes {
  google.protobuf.Struct notes = 1;
}
message PostFormRequest {
  repeated string scopes = 1;
  google.protobuf.Struct additional_fields = 1000;
}
message Things {
  repeated Thing things = 1;
  repeated NullablePart parts = 7;
  google.protobuf.Struct additional_fields = 1000;
}
message Thing {
  string id = 1;
  optional int64 amount = 2;
  optional Color color = 3;
  Part part = 4;
  optional string access_key = 5 [(gateway.options.v1.field).secret = true];
  map<string, string> labels = 6;
  int64 number = 7;
  google.protobuf.Struct additional_fields = 1000;
}
message NullablePart {
  option (gateway.options.v1.nullable) = true;
  optional Part part = 1;
}
message Part {
  optional string name = 1;
  google.protobuf.Struct additional_fields = 1000;
}
enum Color {
  COLOR_UNSPECIFIED = 0;
  COLOR_RED = 1 [(gateway.options.v1.wire_name) = "red"];
}
"#;

/// What is put in the place of what, the element that is found and what is said of it.
type Case = (&'static str, &'static str, &'static str, &'static str);

const CREATE: &str = "ThingService.CreateThing";
const LIST: &str = "ThingService.ListThings";

const RPCS: [Case; 24] = [
    (
        "option (gateway.options.v1.partner) = \"test\";",
        "",
        CREATE,
        "has no (gateway.options.v1.partner)",
    ),
    ("effect: EFFECT_WRITE_ONCE", "", CREATE, "does not say its effect"),
    ("effect: EFFECT_READ", "effect: EFFECT_UNSPECIFIED", LIST, "does not say its effect"),
    (
        "effect: EFFECT_READ",
        "effect: EFFECT_READ account_key: ACCOUNT_KEY_ISSUED",
        LIST,
        "neither makes nor deletes the key",
    ),
    ("credentials: [CREDENTIAL_API_KEY]", "", CREATE, "does not say its credentials"),
    (
        "[CREDENTIAL_API_KEY]",
        "[CREDENTIAL_API_KEY, CREDENTIAL_UNSPECIFIED]",
        CREATE,
        "does not say its credentials",
    ),
    ("section: \"s\"", "", CREATE, "does not say the document and the section"),
    ("document: \"d\"", "", CREATE, "does not say the document and the section"),
    (
        "option (google.api.http) = {get: \"/things\" response_body: \"things\"};",
        "",
        LIST,
        "no (google.api.http) binding",
    ),
    ("get: \"/things\"", "", LIST, "exactly one HTTP method and path"),
    (
        "get: \"/things\"",
        "get: \"/things\" additional_bindings: {get: \"/other\"}",
        LIST,
        "exactly one HTTP method",
    ),
    (
        "(CreateThingRequest) returns",
        "(stream CreateThingRequest) returns",
        CREATE,
        "a client stream has no form",
    ),
    (
        "\"/things/{id}\"",
        "\"/things/{nothing}\"",
        CREATE,
        "the path variable {nothing} is no field",
    ),
    ("\"/things/{id}\"", "\"things\"", CREATE, "does not begin with a slash"),
    ("\"/things/{id}\"", "\"/things/{id=*}\"", CREATE, "is not understood"),
    (
        "\"/form\" body: \"*\"",
        "\"/form\" body: \"nothing\"",
        "ThingService.PostForm",
        "the body \"nothing\" is no field",
    ),
    (
        "\"/form\" body: \"*\"",
        "\"/form\" body: \"scopes\"",
        "ThingService.PostForm",
        "a form needs `body: \"*\"`",
    ),
    (
        "\"/form\" body: \"*\"",
        "\"/form\"",
        "ThingService.PostForm",
        "additional_fields need `body: \"*\"`",
    ),
    ("response_body: \"things\"", "response_body: \"additional_fields\"", LIST, "is no list"),
    ("response_body: \"things\"", "response_body: \"nothing\"", LIST, "is no list"),
    (
        "body: \"notes\" response_body: \"notes\"};\n    option (gateway.options.v1.operation) = {",
        "body: \"notes\" response_body: \"notes\"};\n    option (gateway.options.v1.operation) = {unwrap: \"x\"",
        "ThingService.SetNotes",
        "has no unwrap or envelope",
    ),
    (
        "place = PLACE_REQUEST_ID",
        "secret = false",
        CREATE,
        "needs a field with place: PLACE_REQUEST_ID",
    ),
    ("echo: [\"id\"]", "echo: [\"country\"]", CREATE, "the echo \"country\" is no field of both"),
    (
        "string id = 1;\n  optional int64",
        "int64 id = 1;\n  optional int64",
        CREATE,
        "the echo \"id\" is not one string",
    ),
];

const FIELDS: [Case; 23] = [
    (
        "string id = 1;\n  Thing",
        "repeated string id = 1;\n  Thing",
        "CreateThingRequest.id",
        "cannot be in a path",
    ),
    (
        "string id = 1;\n  Thing",
        "bytes id = 1;\n  Thing",
        "CreateThingRequest.id",
        "cannot be in a path",
    ),
    (
        "string id = 1;\n  Thing",
        "Part id = 1;\n  Thing",
        "CreateThingRequest.id",
        "cannot be in a path",
    ),
    (
        "string id = 1;\n  Thing",
        "string id = 1 [(gateway.options.v1.field).place = PLACE_QUERY];\n  Thing",
        "CreateThingRequest.id",
        "no other place",
    ),
    (
        "optional int32 limit = 1;",
        "Part limit = 1;",
        "ListThingsRequest.limit",
        "cannot be in a query",
    ),
    (
        "optional int32 limit = 1;",
        "map<string, string> limit = 1;",
        "ListThingsRequest.limit",
        "cannot be in a query",
    ),
    (
        "repeated string scopes = 1;",
        "Part scopes = 1;",
        "PostFormRequest.scopes",
        "a form has only scalar fields",
    ),
    (
        "repeated string scopes = 1;",
        "map<string, string> scopes = 1;",
        "PostFormRequest.scopes",
        "a form has only scalar",
    ),
    (
        "[(gateway.options.v1.field).secret = true]",
        "",
        "Thing.access_key",
        "its name tells of a secret",
    ),
    (
        "optional string name = 1;",
        "optional string password = 1;",
        "Part.password",
        "its name tells of a secret",
    ),
    (
        "(gateway.options.v1.field).header = \"x-trace\"",
        "(gateway.options.v1.field).personal = true",
        "CreateThingRequest.trace",
        "go together",
    ),
    (
        "(gateway.options.v1.field).place = PLACE_HEADER,",
        "",
        "CreateThingRequest.trace",
        "go together",
    ),
    ("optional string trace", "optional int32 trace", "CreateThingRequest.trace", "is one string"),
    (
        "(buf.validate.field).string.uuid = true,",
        "",
        "CreateThingRequest.request_id",
        "needs (buf.validate.field).string.uuid",
    ),
    (
        "string request_id = 1001",
        "repeated string request_id = 1001",
        "CreateThingRequest.request_id",
        "is one string",
    ),
    (
        "(gateway.options.v1.field).place = PLACE_HEADER,",
        "(gateway.options.v1.field).place = PLACE_ACCOUNT,",
        "CreateThingRequest.trace",
        "go together",
    ),
    (
        "optional int64 amount = 2;",
        "optional int64 amount = 2 [(gateway.options.v1.field).format = FORMAT_JSON_NUMBER];",
        "Thing.amount",
        "for string fields",
    ),
    (
        " [(gateway.options.v1.wire_name) = \"red\"]",
        "",
        "COLOR_RED",
        "needs (gateway.options.v1.wire_name)",
    ),
    (
        "  google.protobuf.Struct additional_fields = 1000;\n}\nenum",
        "}\nenum",
        "Part",
        "needs `google.protobuf.Struct additional_fields`",
    ),
    (
        "Struct additional_fields = 1000;\n}\nenum",
        "Value additional_fields = 1000;\n}\nenum",
        "Part.additional_fields",
        "must be a google.protobuf.Struct",
    ),
    (
        "  google.protobuf.Struct additional_fields = 1000;\n  string request_id",
        "  string request_id",
        "CreateThingRequest",
        "needs `google.protobuf.Struct additional_fields`",
    ),
    (
        "  google.protobuf.Struct additional_fields = 1000;\n}\nmessage Thing {",
        "}\nmessage Thing {",
        "Things",
        "needs `google.protobuf.Struct additional_fields`",
    ),
    (
        "google.protobuf.Struct additional_fields = 1000;\n}\nenum",
        "repeated google.protobuf.Struct additional_fields = 1000;\n}\nenum",
        "Part.additional_fields",
        "must be a google.protobuf.Struct",
    ),
];

const TYPES: [Case; 13] = [
    (
        "optional string name = 1;",
        "oneof name { string a = 1; int32 b = 2; }",
        "Part",
        "a oneof has no form",
    ),
    ("map<string, string> labels", "map<int32, string> labels", "Thing", "keys has no form"),
    (
        "optional string name = 1;",
        "google.protobuf.Duration name = 1;",
        "Part",
        "google.protobuf.Duration has no form",
    ),
    (
        "string.pattern = \"^[A-Z]{2}$\"",
        "string.email = true",
        "CreateThingRequest",
        "string.email is not understood",
    ),
    (
        "string.pattern = \"^[A-Z]{2}$\"",
        "string.not_in = \"x\"",
        "CreateThingRequest",
        "string.not_in is not understood",
    ),
    (
        "string.pattern = \"^[A-Z]{2}$\"",
        "string.pattern = \"(\"",
        "CreateThingRequest",
        "does not compile",
    ),
    (
        "string.pattern = \"^[A-Z]{2}$\"",
        "ignore = IGNORE_ALWAYS",
        "CreateThingRequest",
        "ignore is not understood",
    ),
    (
        "string.pattern = \"^[A-Z]{2}$\"",
        "cel = {id: \"x\" expression: \"true\"}",
        "CreateThingRequest",
        "cel is not understood",
    ),
    (
        "repeated string scopes = 1;",
        "repeated string scopes = 1 [(buf.validate.field).repeated.unique = true];",
        "PostFormRequest",
        "repeated.unique is not understood",
    ),
    (
        "optional int32 limit = 1;",
        "optional int32 limit = 1 [(buf.validate.field).int32.const = 1];",
        "ListThingsRequest",
        "int32.const is not understood",
    ),
    (
        "optional int64 amount = 2;",
        "optional int64 amount = 2 [(buf.validate.field).int64.lt = 9007199254740993];",
        "Thing",
        "int64.lt is not understood",
    ),
    (
        "map<string, string> labels = 6;",
        "map<string, string> labels = 6 [(buf.validate.field).map.min_pairs = 1];",
        "Thing",
        "map.min_pairs is not understood",
    ),
    (
        "optional Color color = 3;",
        "optional Color color = 3 [(buf.validate.field).enum.const = 1];",
        "Thing",
        "enum.const is not understood",
    ),
];

fn findings(contract: &str, folder: &Path) -> Vec<Finding> {
    std::fs::write(folder.join("broken.proto"), contract).unwrap();
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let mut compiler = protox::Compiler::new([folder, &proto]).unwrap();
    compiler.include_imports(true).include_source_info(true);
    compiler.open_file("broken.proto").unwrap_or_else(|e| panic!("{e}\n{contract}"));
    check(&compiler.descriptor_pool())
}

fn each_is_found(cases: &[Case]) {
    let folder = tempfile::tempdir().unwrap();
    for (is, becomes, element, problem) in cases {
        assert!(WHOLE.contains(is), "{is}");
        let found = findings(&WHOLE.replacen(is, becomes, 1), folder.path());
        let is_found = found.iter().any(|finding| {
            finding.element == format!("broken.v1.{element}") && finding.problem.contains(problem)
        });
        assert!(is_found, "{is} -> {becomes}: {found:#?}");
        assert!(
            found.iter().all(|finding| finding.file == "broken.proto" && !finding.path.is_empty())
        );
    }
}

#[test]
fn nothing_is_found_in_a_whole_contract() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(findings(WHOLE, folder.path()), []);
    assert_eq!(check(&DescriptorPool::decode(DESCRIPTORS).unwrap()), []);
}

#[test]
fn what_an_rpc_leaves_out_is_found() {
    each_is_found(&RPCS);
}

#[test]
fn what_a_field_gets_wrong_is_found() {
    each_is_found(&FIELDS);
}

#[test]
fn a_type_or_rule_that_the_transcoder_does_not_serve_is_found() {
    each_is_found(&TYPES);
}

/// A rpc without options, in a service of a partner.
#[test]
fn an_rpc_without_options_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let bare = WHOLE.replacen(
        "service ThingService {",
        "service ThingService {\n  rpc Bare(ListThingsRequest) returns (Thing);",
        1,
    );
    let found = findings(&bare, folder.path());
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].element, "broken.v1.ThingService.Bare");
    assert_eq!(found[0].problem, "it has no (gateway.options.v1.operation)");
    // In a service of the gateway's own it is an ordinary rpc.
    let own = bare.replacen("option (gateway.options.v1.partner) = \"test\";", "", 1);
    assert!(
        findings(&own, folder.path()).iter().all(|f| f.element != "broken.v1.ThingService.Bare")
    );
}

#[test]
fn everything_wrong_is_found_at_once_and_each_once() {
    let folder = tempfile::tempdir().unwrap();
    let broken = WHOLE
        .replacen("effect: EFFECT_WRITE_ONCE", "", 1)
        .replacen(" [(gateway.options.v1.wire_name) = \"red\"]", "", 1)
        .replacen("[(gateway.options.v1.field).secret = true]", "", 1);
    let found = findings(&broken, folder.path());
    let mut elements: Vec<_> = found.iter().map(|finding| finding.element.as_str()).collect();
    elements.sort_unstable();
    assert_eq!(
        elements,
        ["broken.v1.COLOR_RED", "broken.v1.Thing.access_key", "broken.v1.ThingService.CreateThing"]
    );
}
