//! The image's root file system, as `scripts/image-root` makes it: run with nothing else
//! in sight, read-only, as a user that owns nothing. And what such a program takes: to
//! start, while it idles, and to go. `scripts/check-image` calls these.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use partner_gateway::pb::grpc::health::v1::HealthCheckRequest;
use partner_gateway::pb::grpc::health::v1::health_check_response::ServingStatus;
use partner_gateway::pb::grpc::health::v1::health_client::HealthClient;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep};
use tonic::transport::Endpoint;

use crate::support::control::Control;
use crate::support::process::Process;
use crate::support::usage;
use crate::support::wire::Wire;

/// The user of the image.
const USER: u32 = 65532;

/// A loopback address that no other name server has.
const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 77, 53);

/// Everything that is in the image.
const CONTENTS: [&str; 6] = [
    "etc/group",
    "etc/passwd",
    "etc/ssl/certs/ca-certificates.crt",
    "usr/bin/partner-gateway",
    "usr/share/doc/partner-gateway/LICENSE",
    "usr/share/sbom/partner-gateway.cdx.json",
];

/// Where the gateway may write.
const WRITABLE: &str = "var/lib/partner-gateway";

const CONFIG: [&str; 2] = ["--config", "/etc/partner-gateway/gateway.toml"];

/// How long it may take until it serves.
const SOON: Duration = Duration::from_millis(150);
/// How many bytes of memory it may have when idle, as it is shipped (`dist`), and as CI has
/// time to build it: what is not built small has more pages.
const SMALL: u64 = 25_000_000;
const NOT_SO_SMALL: u64 = 32_000_000;
/// How often it is started: what else a machine does makes a start slower, and never faster.
const STARTS: usize = 3;
/// Until all that a start leaves behind has been done.
const SETTLED: Duration = Duration::from_secs(3);

/// A copy of the image's root, with what a runtime mounts into it.
struct Root(TempDir);

/// What one life of the program took.
#[derive(Clone, Copy, Debug)]
struct Taken {
    /// From before the process until an answer to a check of `readiness` said SERVING: what
    /// the probes of `deploy/` ask.
    start: Duration,
    /// Bytes of resident memory when it has had nothing to do for a while.
    idle: u64,
    /// From the signal to the end of the process, without a call in flight.
    drain: Duration,
}

/// The root that was made.
fn image() -> PathBuf {
    let root = std::env::var_os("IMAGE_ROOT").expect("scripts/check-image sets IMAGE_ROOT");
    PathBuf::from(root)
}

/// The files below `folder`, relative to it and sorted.
fn files(folder: &Path) -> Vec<String> {
    let mut find = Command::new("find");
    find.arg(folder).args(["!", "-type", "d", "-printf", "%P\n"]);
    let mut found: Vec<_> = stdout(output(&mut find)).lines().map(str::to_owned).collect();
    found.sort();
    found
}

fn output(command: &mut Command) -> Output {
    command.output().unwrap()
}

fn stdout(output: Output) -> String {
    let (out, err) = (output.stdout, String::from_utf8_lossy(&output.stderr).into_owned());
    assert!(output.status.success(), "{err}");
    String::from_utf8(out).unwrap()
}

// === impl Root ===

impl Root {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let source = image().join(".");
        stdout(output(Command::new("cp").arg("-a").arg(source).arg(root.path())));
        Self(root)
    }

    /// The same with the settings for these simulators, and the secrets that they name.
    fn equipped(simulators: SocketAddr) -> Self {
        let root = Self::new();
        root.mount("etc/partner-gateway/gateway.toml", &settings(simulators));
        let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        root.mount("run/secrets/store-encryption-key", key);
        root.mount("run/secrets/trolley", "simulatorparentsecretkey0000000000000000\n");
        root
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Puts a file there, as a mount would.
    fn mount(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// The program in this root, which is read-only but for its one folder.
    fn command(&self, args: &[&str]) -> Command {
        let script = "mount --bind \"$1\" \"$1\" && mount --bind \"$1/$2\" \"$1/$2\" && \
                      mount -o remount,bind,ro \"$1\" && shift 2 && exec \"$@\"";
        let root = self.path().to_str().unwrap();
        let user = format!("--userspec={USER}:{USER}");
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script, "sh", root, WRITABLE]);
        command.args(["chroot", &user, root, "/usr/bin/partner-gateway"]).args(args);
        command
    }
}

/// Answers every question for an address with 127.0.0.1, and any other with nothing.
async fn serve_names(socket: UdpSocket) {
    const A: [u8; 2] = [0, 1];
    let mut buffer = [0; 512];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        let question = &buffer[12..length];
        let name = question.iter().position(|byte| *byte == 0).unwrap();
        let asked = &question[..name + 5];
        let is_address = asked[name + 1..name + 3] == A;
        let mut answer = buffer[..2].to_vec();
        // An answer, recursion offered; one question, one answer or none.
        answer.extend([0x81, 0x80, 0, 1, 0, u8::from(is_address), 0, 0, 0, 0]);
        answer.extend(asked);
        if is_address {
            // The name of the question, type and class, a minute, four bytes.
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
        }
        socket.send_to(&answer, from).await.unwrap();
    }
}

/// One partner is in the name service, the other in the file of hosts.
fn settings(simulators: SocketAddr) -> String {
    let port = simulators.port();
    format!(
        r#"
        [telemetry]
        log_format = "json"
        [grpc]
        listen = "127.0.0.1:0"
        [operations]
        listen = "127.0.0.1:0"
        [store]
        url = "sqlite:///{WRITABLE}/gateway.db"
        encryption_key_file = "/run/secrets/store-encryption-key"
        [partners.trolley]
        base_url = "http://partner.named.test:{port}/trolley"
        allow_private_addresses = true
        access_key = "SIMULATORPARENTACCESSKEY"
        secret_key_file = "/run/secrets/trolley"
        [partners.trustap]
        base_url = "http://partner.hosts.test:{port}/trustap/api/v1"
        allow_private_addresses = true
        api_key = "simulator-trustap-api-key"
        "#
    )
}

#[test]
#[ignore = "scripts/check-image makes the image's root first"]
fn the_image_has_nothing_but_the_program_and_what_it_reads() {
    assert_eq!(files(&image()), CONTENTS);
    for file in CONTENTS {
        let found = std::fs::metadata(image().join(file)).unwrap();
        assert_eq!((found.uid(), found.mode() & 0o6022), (0, 0), "{file}");
    }
    let writable = std::fs::metadata(image().join(WRITABLE)).unwrap();
    assert_eq!((writable.uid(), writable.mode() & 0o777), (USER, 0o700));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "scripts/check-image makes the image's root first"]
#[expect(clippy::disallowed_methods, reason = "the name service ends with the test's runtime")]
async fn the_image_serves_read_only_and_not_as_root() {
    let names = UdpSocket::bind((NAME_SERVER, 53)).await.expect("this test is root's");
    tokio::spawn(serve_names(names));
    let simulators = Control::start().await;
    let root = Root::equipped(simulators.address);
    root.mount("etc/resolv.conf", &format!("nameserver {NAME_SERVER}\n"));
    root.mount("etc/hosts", "127.0.0.1 partner.hosts.test\n");
    let before = files(root.path());

    let checked = stdout(output(&mut root.command(&["check", CONFIG[0], CONFIG[1]])));
    assert!(checked.contains("partners configured: trolley, trustap"), "{checked}");
    let mut gateway = Process::of(root.command(&["serve", CONFIG[0], CONFIG[1]])).await;

    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.id())).unwrap();
    let uids = status.lines().find(|line| line.starts_with("Uid:")).unwrap();
    assert_eq!(uids.split_whitespace().nth(1), Some("65532"), "{uids}");
    let address = gateway.operations.to_string();
    for service in ["liveness", "readiness", "trolley.v1.WebhookService"] {
        let args = ["health", "--address", &address, "--service", service];
        assert_eq!(stdout(output(&mut root.command(&args))), "SERVING\n", "{service}");
    }
    let wire = Wire::to(gateway.grpc);
    for (rpc, request) in [
        ("trolley.v1.WebhookService/ListWebhooks", json!({})),
        (
            "trustap.v1.OnlineTransactionService/GetCharge",
            json!({"currency": "eur", "price": 10000}),
        ),
    ] {
        let told = wire.call(rpc, request, &[]).await;
        assert_eq!(told.code(), tonic::Code::Ok, "{rpc}: {:?}", told.status());
    }
    gateway.signal("TERM").await;
    assert_eq!(gateway.ended().await.code(), Some(0));

    let mut after = files(root.path());
    after.retain(|file| !file.starts_with(WRITABLE));
    assert_eq!(after, before, "it has written elsewhere");
    let database = std::fs::metadata(root.path().join(WRITABLE).join("gateway.db")).unwrap();
    assert_eq!((database.uid(), database.mode() & 0o777), (USER, 0o600));
}

/// One life of the program, with a store and two partners, from its very first start.
async fn life(simulators: SocketAddr) -> Taken {
    let root = Root::equipped(simulators);
    let start = Instant::now();
    let mut gateway = Process::of(root.command(&["serve", CONFIG[0], CONFIG[1]])).await;
    let operations = Endpoint::try_from(format!("http://{}", gateway.operations)).unwrap();
    let mut health = HealthClient::new(operations.connect().await.unwrap());
    let request = HealthCheckRequest { service: "readiness".to_owned() };
    let told = health.check(request).await.unwrap().into_inner();
    let start = start.elapsed();
    assert_eq!(told.status(), ServingStatus::Serving);
    drop(health);
    sleep(SETTLED).await;
    let idle = usage::memory(gateway.id());
    let term = Instant::now();
    gateway.signal("TERM").await;
    assert_eq!(gateway.ended().await.code(), Some(0));
    Taken { start, idle, drain: term.elapsed() }
}

/// G27, G29: a pod is there soon after it is wanted, and gone soon after it is not.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "scripts/check-image makes the image's root first"]
#[expect(clippy::print_stdout, reason = "the figures are for people")]
async fn the_program_is_there_soon_takes_little_memory_and_goes_soon() {
    let simulators = Control::start().await;
    let mut lives = Vec::new();
    for _ in 0..STARTS {
        lives.push(life(simulators.address).await);
    }

    let soonest = lives.iter().map(|life| life.start).min().unwrap();
    let largest = lives.iter().map(|life| life.idle).max().unwrap();
    println!("SERVING after {soonest:?}, {largest} bytes when idle: {lives:?}");
    assert!(soonest < SOON, "{lives:?}");
    let is_shipped = std::env::var_os("IMAGE_PROFILE").is_some_and(|profile| profile == "dist");
    assert!(largest < if is_shipped { SMALL } else { NOT_SO_SMALL }, "{lives:?}");
    assert!(lives.iter().all(|life| life.drain < Duration::from_secs(1)), "{lives:?}");
}
