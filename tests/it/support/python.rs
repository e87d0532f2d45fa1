//! Clients and servers in Python, which stand on nothing of the gateway's own.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::daemon;

/// Python with what `tests/tools/requirements.txt` names; `None` if it is not installed.
pub(crate) fn python() -> Option<PathBuf> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/venv/bin/python");
    if python.is_file() {
        return Some(python);
    }
    daemon::missing(".tools/venv");
    None
}

/// Runs a program of `tests/tools/` to its end, and gives what it printed.
pub(crate) async fn run(python: &Path, program: &str, args: &[&str]) -> String {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools").join(program);
    let output = Command::new(python).arg(&program).args(args).output().await.unwrap();
    let (stdout, stderr) = (output.stdout, String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {stderr}", program.display());
    String::from_utf8(stdout).unwrap()
}
