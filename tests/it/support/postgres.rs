//! A PostgreSQL of the tests' own: one for all of them, and one more for each test that
//! stops it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use super::daemon::{self, Daemon};

/// Its tests do not cut the machine's power.
const ARGS: [&str; 12] = [
    "-c",
    "listen_addresses=",
    "-c",
    "fsync=off",
    "-c",
    "max_connections=300",
    "-c",
    "shared_buffers=32MB",
    "-c",
    "log_statement=all",
    "-c",
    "log_parameter_max_length=-1",
];

/// A cluster in a folder of its own, with a socket there and no port.
#[derive(Debug)]
pub(crate) struct Postgres {
    programs: PathBuf,
    folder: PathBuf,
    user: Option<&'static str>,
    running: Mutex<Option<Daemon>>,
}

// === impl Postgres ===

impl Postgres {
    /// The one that tests share.
    pub(crate) fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Postgres>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// One for a test alone; `None` if PostgreSQL is not installed.
    pub(crate) fn start() -> Option<Self> {
        let programs = programs()?;
        let folder = daemon::folder("postgres");
        let user = daemon::other_than_root(&folder, "postgres");
        let mut initdb = daemon::command(user, &programs.join("initdb"));
        initdb.arg("-D").arg(folder.join("data")).current_dir(&folder);
        initdb.args(["-U", "gateway", "-A", "trust", "-E", "UTF8", "--no-sync"]);
        let made = initdb.output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let cluster = Self { programs, folder, user, running: Mutex::new(None) };
        cluster.start_again();
        Some(cluster)
    }

    /// The folder with all that it writes.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The URL of a new, empty database.
    pub(crate) async fn database(&self) -> String {
        let name = format!("d{}", uuid::Uuid::new_v4().simple());
        let mut connection = PgConnection::connect(&self.url("postgres")).await.unwrap();
        connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
        connection.close().await.unwrap();
        self.url(&name)
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn stop(&self) {
        self.running.lock().unwrap().take().unwrap().stop();
    }

    /// Starts it again.
    pub(crate) fn start_again(&self) {
        let (data, socket) = (self.folder.join("data"), self.folder.to_str().unwrap());
        let own = ["-D", data.to_str().unwrap(), "-k", socket];
        let args = [&own[..], &ARGS[..]].concat();
        let program = self.programs.join("postgres");
        let daemon = Daemon::start(self.user, "QUIT", &self.folder, &program, &args);
        *self.running.lock().unwrap() = Some(daemon);
        daemon::until("postgres is ready", || {
            let mut ready = std::process::Command::new(self.programs.join("pg_isready"));
            ready.args(["-q", "-h", socket, "-U", "gateway", "-d", "postgres"]);
            ready.status().unwrap().success()
        });
    }

    /// Stops its processes where they stand: connections stay open and nobody answers.
    pub(crate) fn freeze(&self) {
        self.running.lock().unwrap().as_ref().unwrap().signal("STOP");
    }

    /// Lets its processes go on.
    pub(crate) fn thaw(&self) {
        self.running.lock().unwrap().as_ref().unwrap().signal("CONT");
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://gateway@localhost/{database}?host={}", self.folder.display())
    }
}

/// Where Debian has the server's programs, of the latest version.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let folders = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    let mut folders: Vec<_> = folders.filter(|it| it.join("postgres").is_file()).collect();
    folders.sort();
    let found = folders.pop();
    if found.is_none() {
        daemon::missing("postgresql");
    }
    found
}
