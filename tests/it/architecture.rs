//! The house rules, held against the source text. A rule's exceptions are listed by
//! name, each with its reason.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The partners, by their key in the configuration.
const PARTNERS: [&str; 3] = ["trolley", "trustap", "trustist"];

/// A source file, without its tests.
struct Source {
    /// Its path below the crate, with `/`.
    name: String,
    /// All of its text.
    text: String,
    /// Its text without `#[cfg(test)] mod tests { … }`, which is its end.
    product: String,
}

/// Every file of `src/` that is not a test.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join("src"), &mut files);
    files.sort();
    let sources = files.into_iter().map(|path| {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
        Source { name, product: product(&text), text }
    });
    let sources: Vec<_> = sources.filter(|source| !is_test(&source.name)).collect();
    assert!(sources.len() > 50, "{} files", sources.len());
    sources
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Modules that `#[cfg(test)]` declares: `tests.rs`, what is below `tests/`, and
/// `testing.rs`, which tests share.
fn is_test(name: &str) -> bool {
    name.split('/').any(|part| ["tests", "tests.rs", "testing.rs"].contains(&part))
}

fn product(text: &str) -> String {
    let mut product = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let declares = lines.peek().copied().unwrap_or_default();
        if line == "#[cfg(test)]" && declares.starts_with("mod ") && declares.ends_with('{') {
            break;
        }
        product.push_str(line);
        product.push('\n');
    }
    product
}

/// Whether a file is a module or lies below it: `src/stack.rs`, `src/stack/…`.
fn is_in(name: &str, module: &str) -> bool {
    name == format!("src/{module}.rs") || name.starts_with(&format!("src/{module}/"))
}

/// Where a word stands in the files of a module, comments included.
fn mentions(module: &str, words: &[&str]) -> String {
    let mut found = String::new();
    let sources = sources();
    let files: Vec<_> = sources.iter().filter(|source| is_in(&source.name, module)).collect();
    assert!(!files.is_empty(), "there is no src/{module}");
    for source in files {
        for (number, line) in source.product.lines().enumerate() {
            if words.iter().any(|word| has_word(line, word)) {
                writeln!(found, "{}:{}: {}", source.name, number + 1, line.trim()).unwrap();
            }
        }
    }
    found
}

/// Whether a word, or a name that begins with it (`prost_types`), stands in the line.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

#[test]
fn a_partners_name_stands_only_in_its_own_files_the_simulators_and_the_configuration() {
    let may = |name: &str| {
        ["simulator", "config", "server/simulators"].iter().any(|module| is_in(name, module))
            || name == "src/partner.rs"
            || name.starts_with("src/partner/trustist")
            || name.starts_with("src/partner/trolley")
            || name.starts_with("src/partner/trustap")
    };
    let mut found = String::new();
    for source in sources().iter().filter(|source| !may(&source.name)) {
        for (number, line) in source.product.lines().enumerate() {
            let small = line.to_ascii_lowercase();
            if PARTNERS.iter().any(|partner| small.contains(partner)) {
                writeln!(found, "{}:{}: {}", source.name, number + 1, line.trim()).unwrap();
            }
        }
    }
    assert!(found.is_empty(), "{found}");
}

#[test]
fn a_partner_file_does_not_name_another_partner() {
    for source in sources() {
        let small = source.product.to_ascii_lowercase();
        for own in PARTNERS {
            let is_own = source.name.starts_with(&format!("src/partner/{own}"))
                || source.name.starts_with(&format!("src/simulator/{own}"));
            for other in PARTNERS.iter().filter(|other| **other != own) {
                assert!(!(is_own && small.contains(other)), "{} names {other}", source.name);
            }
        }
    }
}

#[test]
fn the_stack_reads_no_message() {
    let found = mentions("stack", &["prost", "prost_types", "prost_reflect", "transcode"]);
    assert!(found.is_empty(), "{found}");
}

#[test]
fn the_transcoder_knows_no_http_client_no_layer_and_no_runtime() {
    let found = mentions("transcode", &["reqwest", "tower", "tokio", "hyper"]);
    assert!(found.is_empty(), "{found}");
}

#[test]
fn a_partner_knows_no_layer_and_no_http_client() {
    let found = mentions("partner", &["tower", "reqwest", "hyper"]);
    assert!(found.is_empty(), "{found}");
}

/// It is written from the partners' documents and must not share the gateway's
/// mistakes.
#[test]
fn the_simulator_imports_nothing_of_the_crate() {
    let mut found = String::new();
    for source in sources().iter().filter(|source| is_in(&source.name, "simulator")) {
        // Its tests are held to it as well.
        for (number, line) in source.text.lines().enumerate() {
            let others = line.replace("crate::simulator", "").contains("crate::");
            if others || line.contains("partner_gateway::") {
                writeln!(found, "{}:{}: {}", source.name, number + 1, line.trim()).unwrap();
            }
        }
    }
    assert!(found.is_empty(), "{found}");
}

/// They are at the end of the row: whoever is to be kept comes to them.
#[test]
fn the_store_and_the_seal_import_nothing_above_them() {
    let may = ["crate::clock", "crate::random", "crate::seal", "crate::store"];
    for source in sources() {
        if !is_in(&source.name, "store") && !is_in(&source.name, "seal") {
            continue;
        }
        for (number, line) in source.product.lines().enumerate() {
            let is_above = line.contains("crate::") && !may.iter().any(|room| line.contains(room));
            assert!(!is_above, "{}:{}: {}", source.name, number + 1, line.trim());
        }
    }
}

/// A release has nothing that stops it on purpose.
#[test]
fn s14_fail_points_are_in_debug_builds_only() {
    let sources = sources();
    let failpoint = sources.iter().find(|source| source.name == "src/failpoint.rs").unwrap();
    let armed = failpoint.text.split_once("#[cfg(debug_assertions)]\nmod armed {").unwrap();
    assert!(!armed.0.contains("pending()"), "it halts outside of `armed`");
    let serve = sources.iter().find(|source| source.name == "src/cli/serve.rs").unwrap();
    let option = serve.text.split("    fail_point: Vec<String>,").next().unwrap();
    assert!(
        option.trim_end().lines().rev().take(2).any(|line| line.contains("cfg(debug_assertions)"))
    );
}

#[test]
fn no_file_is_longer_than_400_lines() {
    let long = |source: &Source| source.product.lines().count() > 400;
    let found: Vec<_> = sources().into_iter().filter(long).map(|source| source.name).collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn every_module_begins_with_what_it_is_for() {
    let bare = |source: &Source| !source.text.starts_with("//! ");
    let found: Vec<_> = sources().into_iter().filter(bare).map(|source| source.name).collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn no_lint_is_silenced_without_a_reason() {
    let mut found = String::new();
    for source in sources() {
        for attribute in ["#[allow(", "#![allow(", "#[expect(", "#![expect("] {
            for (at, _) in source.text.match_indices(attribute) {
                let rest = &source.text[at..];
                let end = rest.find(")]").unwrap();
                if !rest[..end].contains("reason = \"") {
                    writeln!(found, "{}: {}", source.name, &rest[..end]).unwrap();
                }
            }
        }
    }
    assert!(found.is_empty(), "{found}");
}

/// Only these write to stdout or end the process; everything else is in the library.
#[test]
fn the_binary_has_no_logic_of_its_own() {
    let main = sources().into_iter().find(|source| source.name == "src/main.rs").unwrap();
    assert!(main.text.lines().count() <= 12, "{}", main.text);
}

/// The layers as `src/stack.rs` composes them, outermost first.
fn composed() -> Vec<String> {
    let sources = sources();
    let stack = sources.iter().find(|source| source.name == "src/stack.rs").unwrap();
    let layers = stack.product.match_indices(".layer(").map(|(at, found)| {
        let rest = &stack.product[at + found.len()..];
        rest.split("::").next().unwrap().trim().to_owned()
    });
    layers.collect()
}

#[test]
fn every_layer_is_a_file_and_is_composed_once() {
    let mut composed = composed();
    let sources = sources();
    let layers = sources.iter().filter(|source| source.product.contains("> Layer<S> for "));
    let mut files: Vec<_> = layers
        .map(|source| {
            let name = source.name.strip_prefix("src/stack/").expect("a layer outside src/stack");
            name.strip_suffix(".rs").unwrap().to_owned()
        })
        .collect();
    composed.sort();
    files.sort();
    assert_eq!(composed, files);
}

#[test]
fn architecture_md_has_the_layers_in_the_order_of_the_stack() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md");
    let text = std::fs::read_to_string(path).unwrap();
    let table = text.split_once("\n| layer |").expect("no table of layers").1;
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let cells = rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
    let rows: Vec<_> = cells.collect();

    assert!(rows.iter().all(|cells| cells.len() == 3 && cells.iter().all(|c| !c.is_empty())));
    let named: Vec<_> = rows.iter().map(|cells| cells[0].trim_matches('`').to_owned()).collect();
    assert_eq!(named, composed());
}

/// Its last section tells people where to change what.
#[test]
fn every_file_that_architecture_md_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let named = text.split('`').skip(1).step_by(2);
    let paths = named.filter(|name| {
        let folders = ["src/", "tests/", "docs/", "proto/", "config.default.toml"];
        folders.iter().any(|folder| name.starts_with(folder)) && !name.contains('<')
    });
    let gone: Vec<_> = paths.filter(|path| !root.join(path).exists()).collect();
    assert!(gone.is_empty(), "{gone:?}");
}
