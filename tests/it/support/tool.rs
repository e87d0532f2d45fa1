//! A program of `tests/tools`, in Python, that tells each thing on a line of JSON.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::python::python;

const PATIENCE: Duration = Duration::from_secs(60);

/// A running program; it is killed when dropped.
#[derive(Debug)]
pub(crate) struct Tool {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

// === impl Tool ===

impl Tool {
    /// Starts one; `None` if its packages are not installed.
    pub(crate) fn start(name: &str, args: &[&str]) -> Option<Self> {
        let program = format!("{}/tests/tools/{name}", env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new(python()?);
        command.arg(program).args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Some(Self { child, lines })
    }

    /// What it tells next; none at its end.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        let line = timeout(PATIENCE, self.lines.next_line()).await.expect("it tells nothing");
        Some(serde_json::from_str(&line.unwrap()?).unwrap())
    }

    /// Everything that it tells until its end, once its input has ended.
    pub(crate) async fn finish(mut self) -> Vec<Value> {
        drop(self.child.stdin.take());
        let mut told = Vec::new();
        while let Some(line) = self.next().await {
            told.push(line);
        }
        assert!(self.child.wait().await.unwrap().success(), "{told:?}");
        told
    }

    /// Everything that it tells from now on, as it comes. It runs as long as the test does.
    pub(crate) fn collect(self) -> Arc<Mutex<Vec<Value>>> {
        let Self { child, mut lines } = self;
        let told = Arc::<Mutex<Vec<Value>>>::default();
        let all = Arc::clone(&told);
        #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
        tokio::spawn(async move {
            // The end of its input would be its end.
            let _child = child;
            while let Ok(Some(line)) = lines.next_line().await {
                all.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        told
    }
}
