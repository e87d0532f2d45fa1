//! The program itself, as operators start it.

use std::net::SocketAddr;
use std::process::{ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

/// For a start, an end, or a whole command.
const PATIENCE: Duration = Duration::from_secs(20);

/// Every listener on a free port, and a log that can be read.
pub(crate) const FREE: [(&str, &str); 4] = [
    ("PARTNER_GATEWAY__GRPC__LISTEN", "127.0.0.1:0"),
    ("PARTNER_GATEWAY__OPERATIONS__LISTEN", "127.0.0.1:0"),
    ("PARTNER_GATEWAY__SIMULATORS__LISTEN", "127.0.0.1:0"),
    ("PARTNER_GATEWAY__TELEMETRY__LOG_FORMAT", "json"),
];

/// A gateway that runs as a process of its own; it is killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) grpc: SocketAddr,
    pub(crate) operations: SocketAddr,
    pub(crate) simulators: Option<SocketAddr>,
    child: Child,
    log: Arc<Mutex<Vec<Value>>>,
    /// The rest of the log, while it is not read.
    unread: Option<BufReader<ChildStderr>>,
}

/// The program with these arguments, and of the gateway's variables these only.
fn command(args: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_partner-gateway"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().to_ascii_uppercase().starts_with("PARTNER_GATEWAY_") {
            command.env_remove(name);
        }
    }
    command.args(args).envs(environment.iter().copied()).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs the program to its end.
pub(crate) async fn run(args: &[&str], environment: &[(&str, &str)]) -> Output {
    let output = timeout(PATIENCE, command(args, environment).output());
    output.await.unwrap_or_else(|_| panic!("{args:?} does not end")).unwrap()
}

/// Starts the program and reads the first lines that it prints to stdout.
pub(crate) async fn spawn(args: &[&str], lines: usize) -> (Child, Vec<String>) {
    let mut command = command(args, &[]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut read = Vec::new();
    while read.len() < lines {
        let line = timeout(PATIENCE, reader.next_line()).await.expect("it prints nothing");
        read.push(line.unwrap().unwrap_or_else(|| panic!("it ended: {read:?}")));
    }
    (child, read)
}

/// Sends a signal, by name.
pub(crate) async fn signal(child: &Child, name: &str) {
    let id = child.id().expect("it has ended").to_string();
    let sent = Command::new("kill").args(["-s", name, &id]).status().await.unwrap();
    assert!(sent.success());
}

/// Waits for the end of a program.
pub(crate) async fn ended(child: &mut Child) -> ExitStatus {
    timeout(PATIENCE, child.wait()).await.expect("it does not end").unwrap()
}

// === impl Process ===

impl Process {
    /// Starts `serve` and waits until it serves.
    pub(crate) async fn serve(args: &[&str], environment: &[(&str, &str)]) -> Self {
        let args = [&["serve"], args].concat();
        Self::started(command(&args, &[&FREE, environment].concat())).await
    }

    /// The same, but its log is read no further than that, until [`read`](Self::read).
    pub(crate) async fn serve_unread(args: &[&str], environment: &[(&str, &str)]) -> Self {
        let args = [&["serve"], args].concat();
        Self::started_unread(command(&args, &[&FREE, environment].concat())).await
    }

    /// The same with files that cannot grow beyond this many bytes, as on a full disk.
    pub(crate) async fn serve_limited(args: &[&str], bytes: u64) -> Self {
        let program = env!("CARGO_BIN_EXE_partner-gateway");
        // The signal that comes with a limit is ignored, so that writing fails instead. A
        // block of `ulimit` has 512 bytes.
        let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", bytes / 512);
        let args = [&["-c", &script, "sh", program, "serve"], args].concat();
        let mut command = Command::new("sh");
        command.args(args).envs(FREE).stdin(Stdio::null()).kill_on_drop(true);
        Self::started(command).await
    }

    /// Runs a command that serves, however that comes to the program, and waits until it does.
    pub(crate) async fn of(command: std::process::Command) -> Self {
        let mut command = Command::from(command);
        command.stdin(Stdio::null()).kill_on_drop(true);
        Self::started(command).await
    }

    async fn started(command: Command) -> Self {
        let mut process = Self::started_unread(command).await;
        process.read();
        process
    }

    async fn started_unread(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut before = Vec::new();
        let serving = loop {
            let line = timeout(PATIENCE, next(&mut lines)).await.expect("it does not serve");
            let line = line.unwrap_or_else(|| panic!("it ended instead of serving: {before:?}"));
            before.push(line.clone());
            if line["message"] == "serving" {
                break line;
            }
        };
        let address = |key: &str| serving[key].as_str().map(|text| text.parse().unwrap());
        Self {
            grpc: address("grpc").unwrap(),
            operations: address("operations").unwrap(),
            simulators: address("simulators"),
            child,
            log: Arc::new(Mutex::new(before)),
            unread: Some(lines),
        }
    }

    /// Reads its log from now on.
    pub(crate) fn read(&mut self) {
        let Some(mut lines) = self.unread.take() else { return };
        let all = Arc::clone(&self.log);
        #[expect(clippy::disallowed_methods, reason = "it ends with the process")]
        tokio::spawn(async move {
            while let Some(line) = next(&mut lines).await {
                all.lock().unwrap().push(line);
            }
        });
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("it has ended")
    }

    pub(crate) async fn signal(&self, name: &str) {
        signal(&self.child, name).await;
    }

    pub(crate) async fn ended(&mut self) -> ExitStatus {
        ended(&mut self.child).await
    }

    /// Whether it is still running.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> Vec<Value> {
        self.log.lock().unwrap().clone()
    }
}

/// The next line of the log; none at its end.
async fn next(lines: &mut BufReader<ChildStderr>) -> Option<Value> {
    let mut line = String::new();
    match lines.read_line(&mut line).await.unwrap() {
        0 => None,
        _ => Some(serde_json::from_str(&line).unwrap_or_else(|_| Value::from(line))),
    }
}
