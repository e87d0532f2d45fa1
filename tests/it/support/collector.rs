//! A collector of another project's making, and what it was sent.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::daemon;
use super::tool::Tool;

/// A running collector; it ends with the test.
#[derive(Debug)]
pub(crate) struct Collector {
    pub(crate) port: u64,
    told: Arc<Mutex<Vec<Value>>>,
}

// === impl Collector ===

impl Collector {
    /// Starts one; `None` if its packages are not installed.
    pub(crate) async fn start(args: &[&str]) -> Option<Self> {
        let mut tool = Tool::start("otlp_receiver.py", args)?;
        let first = tool.next().await.expect("it ended instead of listening");
        Some(Self { port: first["port"].as_u64().unwrap(), told: tool.collect() })
    }

    /// Everything that it was sent.
    pub(crate) fn told(&self) -> Vec<Value> {
        self.told.lock().unwrap().clone()
    }

    /// The spans of this name.
    pub(crate) fn spans(&self, name: &str) -> Vec<Value> {
        self.told().into_iter().filter(|it| it["span"] == name).collect()
    }

    /// Waits until it has been sent what is looked for.
    pub(crate) async fn until(&self, what: &str, mut is_there: impl FnMut(&[Value]) -> bool) {
        let looked = async {
            while !is_there(&self.told()) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let limit = Duration::from_secs(20);
        let found = tokio::time::timeout(limit, looked).await;
        assert!(found.is_ok(), "the collector was not sent {what}: {:#?}", self.told());
    }
}

/// The output of a program that reads from its input; `None` if it is not installed.
pub(crate) fn checked(program: &str, args: &[&str], input: &str) -> Option<(bool, String)> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        daemon::missing(program);
        return None;
    };
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8(text).unwrap()))
}
