//! A Redis of a test's own, which can be stopped and frozen at any moment.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use super::daemon::{self, Daemon};

/// A server on a port of its own that keeps nothing over a stop.
#[derive(Debug)]
pub(crate) struct Redis {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    running: Mutex<Option<Daemon>>,
}

// === impl Redis ===

impl Redis {
    /// Starts one; `None` if Redis is not installed.
    pub(crate) fn start() -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders = std::env::split_paths(&path).map(|it| it.join("redis-server"));
        let Some(program) = folders.find(|program| program.is_file()) else {
            daemon::missing("redis-server");
            return None;
        };
        // The port is free again when the listener is gone.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = daemon::folder("redis");
        let redis = Self { program, folder, port, running: Mutex::new(None) };
        redis.start_again();
        Some(redis)
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Ends it at once. What it held is gone.
    pub(crate) fn stop(&self) {
        self.running.lock().unwrap().take().unwrap().stop();
    }

    /// Starts it again, on the same port.
    pub(crate) fn start_again(&self) {
        let port = self.port.to_string();
        let args = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        let daemon = Daemon::start(None, "KILL", &self.folder, &self.program, &args);
        *self.running.lock().unwrap() = Some(daemon);
        daemon::until("redis is ready", || is_ready(&self.program, &port));
    }

    /// Stops it where it stands: connections stay open and nobody answers.
    pub(crate) fn freeze(&self) {
        self.running.lock().unwrap().as_ref().unwrap().signal("STOP");
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.running.lock().unwrap().as_ref().unwrap().signal("CONT");
    }
}

fn is_ready(server: &Path, port: &str) -> bool {
    let client = server.with_file_name("redis-cli");
    let answer = Command::new(client).args(["-p", port, "PING"]).output().unwrap();
    answer.stdout.starts_with(b"PONG")
}
