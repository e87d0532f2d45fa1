//! `operations`: the manifest, made from the contract that the binary serves, so that
//! it cannot be out of date.

use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serialize;

use super::Result;
use crate::operation::{Catalogue, Operation};

/// List every rpc of the partners' services.
///
/// With the partner's HTTP method and path, the credentials it takes, what repeating
/// it does, and the partner's document that it is taken from.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  partner-gateway operations
  partner-gateway operations --format json | jq '.[] | select(.effect == \"WRITE_ONCE\")'")]
pub(super) struct Args {
    /// The form of the list.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Aligned columns, an rpc a line.
    Table,
    /// An array of objects.
    Json,
    /// A Markdown table.
    Markdown,
}

/// An rpc as the manifest has it. Scripts read these keys.
#[derive(Debug, Serialize)]
struct Row {
    rpc: String,
    partner: &'static str,
    http_method: &'static str,
    http_path: &'static str,
    credentials: Vec<&'static str>,
    effect: &'static str,
    streaming: bool,
    deprecated: bool,
    /// The rpc that tells what became of a call whose outcome is unknown.
    reconcile: Option<String>,
    source: String,
}

const HEAD: [&str; 8] =
    ["RPC", "PARTNER", "METHOD", "PATH", "CREDENTIALS", "EFFECT", "NOTES", "SOURCE"];

pub(super) fn run(args: &Args) -> Result {
    let rows: Vec<Row> = Catalogue::embedded()?.operations().iter().map(|o| Row::new(o)).collect();
    let out = &mut io::stdout().lock();
    match args.format {
        Format::Table => write_table(&rows, out)?,
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, &rows).map_err(io::Error::from)?;
            writeln!(out)?;
        }
        Format::Markdown => write_markdown(&rows, out)?,
    }
    Ok(())
}

// === impl Row ===

impl Row {
    fn new(operation: &'static Operation) -> Self {
        Self {
            rpc: operation.rpc(),
            partner: &operation.partner,
            http_method: operation.verb.as_str(),
            http_path: operation.path.as_str(),
            credentials: operation.credentials.iter().map(|c| c.as_str()).collect(),
            effect: operation.effect.as_str(),
            streaming: operation.paging.is_some(),
            deprecated: operation.deprecated,
            reconcile: operation.reconcile.map(Operation::rpc),
            source: format!("{}, {}", operation.document, operation.section),
        }
    }

    fn cells(&self) -> [String; 8] {
        let notes = [(self.streaming, "streaming"), (self.deprecated, "deprecated")];
        let notes: Vec<_> = notes.iter().filter(|(holds, _)| *holds).map(|(_, n)| *n).collect();
        [
            self.rpc.clone(),
            self.partner.to_owned(),
            self.http_method.to_owned(),
            self.http_path.to_owned(),
            self.credentials.join(" "),
            self.effect.to_owned(),
            notes.join(" "),
            self.source.clone(),
        ]
    }
}

fn write_table(rows: &[Row], out: &mut impl Write) -> io::Result<()> {
    let head = HEAD.map(str::to_owned);
    let lines: Vec<_> = std::iter::once(head).chain(rows.iter().map(Row::cells)).collect();
    let mut widths = [0; 8];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    for line in &lines {
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

fn write_markdown(rows: &[Row], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "| {} |", HEAD.map(str::to_lowercase).join(" | "))?;
    writeln!(out, "|{}", "---|".repeat(HEAD.len()))?;
    for row in rows {
        let [rpc, partner, method, path, rest @ ..] = row.cells().map(|c| c.replace('|', "\\|"));
        writeln!(out, "| `{rpc}` | {partner} | {method} | `{path}` | {} |", rest.join(" | "))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn rows() -> Vec<Row> {
        Catalogue::embedded().unwrap().operations().iter().map(|o| Row::new(o)).collect()
    }

    #[test]
    fn an_object_of_the_manifest_has_these_keys() {
        let rows = serde_json::to_value(rows()).unwrap();
        let named = |row: &&Value| row["rpc"] == "trolley.v1.WebhookService/GetWebhook";
        let mut row = rows.as_array().unwrap().iter().find(named).unwrap().clone();
        assert!(row["credentials"][0].is_string());
        row["credentials"].take();
        assert_eq!(
            row,
            json!({
                "rpc": "trolley.v1.WebhookService/GetWebhook",
                "partner": "trolley",
                "http_method": "GET",
                "http_path": "/v1/subscriptions/{id}",
                "credentials": null,
                "effect": "READ",
                "streaming": false,
                "deprecated": false,
                "reconcile": null,
                "source": "Trolley Partner API, Get Webhook",
            })
        );
    }

    #[test]
    fn a_table_has_a_line_for_each_rpc() {
        let (mut table, mut markdown) = (Vec::new(), Vec::new());
        write_table(&rows(), &mut table).unwrap();
        write_markdown(&rows(), &mut markdown).unwrap();
        let table = String::from_utf8(table).unwrap();
        assert_eq!(table.lines().count(), rows().len() + 1);
        let column = table.lines().next().unwrap().find("EFFECT").unwrap();
        let effects = ["READ", "IDEMPOTENT", "WRITE_ONCE"];
        let is_effect = |line: &str| effects.iter().any(|e| line[column..].starts_with(e));
        assert!(table.lines().skip(1).all(is_effect), "{table}");
        let markdown = String::from_utf8(markdown).unwrap();
        assert_eq!(markdown.lines().count(), rows().len() + 2);
        assert!(markdown.lines().all(|line| line.matches('|').count() == HEAD.len() + 1));
    }
}
