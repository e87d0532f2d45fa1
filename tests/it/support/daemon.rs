//! Servers of other projects that tests start for themselves. They end with the test
//! process, however that ends: a shell between the two waits for its end of the pipe.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// For a start or an end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// $1: the signal that ends it, $2: its folder, then the command. A line from above ends
/// it; the end of the pipe ends it and removes the folder.
const KEEPER: &str = r#"
signal=$1 folder=$2; shift 2
"$@" >>"$folder/log" 2>&1 &
echo $!
# What the kernel sends when a stopped server's parent is gone.
trap '' HUP
read -r line; kept=$?
kill -s CONT $!
kill -s "$signal" $!
wait $!
[ $kept -eq 0 ] || rm -rf "$folder"
"#;

/// A running server.
#[derive(Debug)]
pub(crate) struct Daemon {
    keeper: Child,
    pid: u32,
    keeps_folder: bool,
}

/// The tests that need a program which is not installed are left out; on CI that is a
/// failure.
#[expect(clippy::print_stdout, reason = "what is not tested must be told")]
pub(crate) fn missing(program: &str) {
    let missing = format!("{program} is missing: scripts/test installs it");
    assert!(std::env::var_os("CI").is_none(), "{missing}");
    println!("not tested: {missing}");
}

/// A folder of its own, which its daemon's keeper removes.
pub(crate) fn folder(name: &str) -> std::path::PathBuf {
    let folder = tempfile::Builder::new().prefix(name).tempdir().unwrap();
    folder.keep()
}

/// The user that a server runs as which refuses to be root; none for anybody else.
pub(crate) fn other_than_root<'a>(folder: &Path, user: &'a str) -> Option<&'a str> {
    use std::os::unix::fs::MetadataExt as _;
    if std::fs::metadata(folder).unwrap().uid() != 0 {
        return None;
    }
    let changed = Command::new("chown").arg("-R").arg(user).arg(folder).status().unwrap();
    assert!(changed.success());
    Some(user)
}

/// A command as another user.
pub(crate) fn command(user: Option<&str>, program: &Path) -> Command {
    let Some(user) = user else { return Command::new(program) };
    let mut command = Command::new("runuser");
    command.args(["-u", user, "--"]).arg(program);
    command
}

/// Waits until `is_so`.
#[expect(clippy::disallowed_methods, reason = "another process is waited for, in real time")]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

// === impl Daemon ===

impl Daemon {
    /// Starts a program in its folder. `signal` is what ends it at once.
    pub(crate) fn start(
        user: Option<&str>,
        signal: &str,
        folder: &Path,
        program: &Path,
        args: &[&str],
    ) -> Self {
        let mut keeper = command(user, Path::new("sh"));
        keeper.args(["-c", KEEPER, "keeper", signal]).arg(folder).arg(program).args(args);
        keeper.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut keeper = keeper.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { keeper, pid: line.trim().parse().unwrap(), keeps_folder: false }
    }

    /// Sends a signal to the program and its children.
    pub(crate) fn signal(&self, name: &str) {
        for pid in [vec![self.pid], children(self.pid)].concat() {
            let mut kill = Command::new("kill");
            // A child may be gone by now.
            kill.args(["-s", name, &pid.to_string()]).stderr(Stdio::null()).status().unwrap();
        }
    }

    /// Ends the program at once, as a crash would, and leaves its folder.
    pub(crate) fn stop(mut self) {
        self.keeps_folder = true;
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.signal("CONT");
        let mut keeper = self.keeper.stdin.take().unwrap();
        if self.keeps_folder {
            keeper.write_all(b"stop\n").unwrap();
        }
        drop(keeper);
        self.keeper.wait().unwrap();
    }
}

/// The processes whose parent is `pid`.
fn children(pid: u32) -> Vec<u32> {
    let parent = |id: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<u32>().ok()
    };
    let entries = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id| parent(*id) == Some(pid)).collect()
}
