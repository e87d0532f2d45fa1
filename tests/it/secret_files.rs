//! S19: secrets in files are changed under load, and no call fails, whichever of file and
//! partner is changed first, as long as one of the two secrets is good.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use partner_gateway::simulator::{trolley, trustist};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Code, Status};

use crate::partners::info;
use crate::support::client::Client;
use crate::support::control::Control;
use crate::support::gateway::Gateway;
use crate::support::kept::{KEY, create, metrics, sqlite};

const INVITATIONS: &str = "trustist.v1.InvitationService/ListInvitations";
const WEBHOOKS: &str = "trolley.v1.WebhookService/ListWebhooks";

/// Longer than the gateway takes to see a change: two looks at the file and what is between.
const SEEN: Duration = Duration::from_millis(1200);

/// A folder as the kubelet makes it: the files are links into `..data`, which is a link
/// itself and is exchanged by a rename.
struct Volume {
    folder: TempDir,
    versions: Mutex<usize>,
}

impl Volume {
    fn new(files: &[(&str, String)]) -> Self {
        let volume = Self { folder: tempfile::tempdir().unwrap(), versions: Mutex::default() };
        volume.exchange(files);
        for (name, _) in files {
            symlink(Path::new("..data").join(name), volume.folder.path().join(name)).unwrap();
        }
        volume
    }

    fn exchange(&self, files: &[(&str, String)]) {
        let mut versions = self.versions.lock().unwrap();
        *versions += 1;
        let (folder, data) = (self.folder.path(), format!("..{versions}"));
        std::fs::create_dir(folder.join(&data)).unwrap();
        for (name, text) in files {
            std::fs::write(folder.join(&data).join(name), format!("{text}\n")).unwrap();
        }
        symlink(&data, folder.join("..data_tmp")).unwrap();
        std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
        if *versions > 1 {
            std::fs::remove_dir_all(folder.join(format!("..{}", *versions - 1))).unwrap();
        }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

/// A kind of secret: how it is configured, used, and changed on either side.
#[derive(Clone, Copy, Debug)]
enum Kind {
    ClientSecret,
    KeyPair,
}

use Kind::{ClientSecret, KeyPair};

/// A gateway with its secrets in files, and the partner.
struct Setting {
    kind: Kind,
    gateway: Gateway,
    partner: Control,
    volume: Volume,
}

impl Setting {
    async fn given(kind: Kind) -> Self {
        let partner = Control::start().await;
        let address = partner.address;
        let volume = Volume::new(&files(kind, "v1"));
        let section = match kind {
            ClientSecret => format!(
                "[partners.trustist]\n\
                 base_url = \"http://{address}/trustist\"\n\
                 client_id = \"{}\"\n\
                 client_secret_file = \"{}\"\n",
                trustist::CLIENT_ID,
                volume.path("client_secret"),
            ),
            KeyPair => format!(
                "[partners.trolley]\n\
                 base_url = \"http://{address}/trolley\"\n\
                 access_key_file = \"{}\"\n\
                 secret_key_file = \"{}\"\n",
                volume.path("access_key"),
                volume.path("secret_key"),
            ),
        };
        let settings = format!("[credentials]\nreload_interval = \"200ms\"\n{section}");
        let gateway = Gateway::configured(&settings).await;
        let setting = Self { kind, gateway, partner, volume };
        // Tokens live so shortly that the secret is needed all the time.
        setting.order("trustist/tokens", json!({"lifetime_seconds": 1})).await;
        setting.partner_takes(&["v1"]).await;
        setting
    }

    async fn order(&self, path: &str, body: Value) {
        let (status, answer) =
            self.partner.put(&format!("/_simulator/{path}"), &body.to_string()).await;
        assert!(status.is_success(), "{answer}");
    }

    async fn partner_takes(&self, versions: &[&str]) {
        let pair =
            |v: &&str| json!({"access_key": format!("AK{v}"), "secret_key": format!("sk-{v}")});
        match self.kind {
            ClientSecret => {
                let secrets: Vec<_> = versions.iter().map(|v| format!("cs-{v}")).collect();
                self.order("trustist/client", json!({"secrets": secrets})).await;
            }
            KeyPair => {
                let keys: Vec<_> = versions.iter().map(pair).collect();
                self.order("trolley/parent", json!({"keys": keys})).await;
            }
        }
    }

    async fn file_is(&self, version: &str) {
        self.volume.exchange(&files(self.kind, version));
        sleep(SEEN).await;
    }

    async fn call(&self) -> Result<(), Status> {
        call(&self.gateway.client, self.kind).await
    }
}

fn files(kind: Kind, version: &str) -> Vec<(&'static str, String)> {
    match kind {
        ClientSecret => vec![("client_secret", format!("cs-{version}"))],
        KeyPair => {
            vec![("access_key", format!("AK{version}")), ("secret_key", format!("sk-{version}"))]
        }
    }
}

async fn call(client: &Client, kind: Kind) -> Result<(), Status> {
    let rpc = match kind {
        ClientSecret => INVITATIONS,
        KeyPair => WEBHOOKS,
    };
    client.call(rpc, json!({})).await.map(|_| ())
}

/// 50 calls a second until it is stopped.
struct Load {
    tasks: TaskTracker,
    stop: CancellationToken,
    answers: Arc<Mutex<Vec<Result<(), Status>>>>,
}

impl Load {
    fn on(setting: &Setting) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let answers = Arc::<Mutex<Vec<_>>>::default();
        let (client, kind) = (setting.gateway.client.clone(), setting.kind);
        let (own, stopped, all) = (tasks.clone(), stop.clone(), Arc::clone(&answers));
        tasks.spawn(async move {
            let mut ticks = interval(Duration::from_millis(20));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while !stopped.is_cancelled() {
                ticks.tick().await;
                let (client, all) = (client.clone(), Arc::clone(&all));
                own.spawn(async move {
                    let answer = call(&client, kind).await;
                    all.lock().unwrap().push(answer);
                });
            }
        });
        Self { tasks, stop, answers }
    }

    /// Every call has succeeded.
    async fn end(self, case: &str) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let answers = self.answers.lock().unwrap();
        let failed: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
        assert!(answers.len() > 50, "{case}: {} calls", answers.len());
        assert!(
            failed.is_empty(),
            "{case}: {} of {}: {:?}",
            failed.len(),
            answers.len(),
            failed[0]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s19_no_call_fails_when_the_partner_takes_both_for_a_time() {
    let both = [ClientSecret, KeyPair].map(async |kind| {
        let setting = Setting::given(kind).await;
        let load = Load::on(&setting);
        setting.partner_takes(&["v2", "v1"]).await;
        setting.file_is("v2").await;
        setting.partner_takes(&["v2"]).await;
        sleep(SEEN).await;
        load.end(&format!("{kind:?}")).await;
    });
    join_all(both).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s19_no_call_fails_when_the_file_is_changed_before_the_partner() {
    let both = [ClientSecret, KeyPair].map(async |kind| {
        let setting = Setting::given(kind).await;
        let load = Load::on(&setting);
        setting.file_is("v2").await;
        setting.partner_takes(&["v2"]).await;
        sleep(SEEN).await;
        // And once more: what is used is what is kept.
        setting.file_is("v3").await;
        setting.partner_takes(&["v3"]).await;
        sleep(SEEN).await;
        load.end(&format!("{kind:?}")).await;
    });
    join_all(both).await;
}

/// The gateway cannot know the new secret before it is in the file, and says so; it knows
/// as soon as it is, whatever it had to wait for before.
#[tokio::test(flavor = "multi_thread")]
async fn s19_calls_fail_from_the_partners_change_to_the_files() {
    for (kind, reason) in
        [(ClientSecret, "PARTNER_TOKEN_REFUSED"), (KeyPair, "PARTNER_CREDENTIALS_REJECTED")]
    {
        let setting = Setting::given(kind).await;
        setting.call().await.unwrap();
        setting.partner_takes(&["v2"]).await;
        sleep(Duration::from_secs(1)).await;
        for _ in 0..5 {
            let failed = setting.call().await.unwrap_err();
            assert_eq!((failed.code(), &*info(&failed).reason), (Code::Internal, reason));
        }
        setting.file_is("v2").await;
        let load = Load::on(&setting);
        sleep(2 * SEEN).await;
        load.end(&format!("{kind:?}")).await;
    }
}

/// O12: a token outlives the secret that it was had with.
#[tokio::test]
async fn s19_a_token_goes_on_when_its_secret_is_changed() {
    let setting = Setting::given(ClientSecret).await;
    setting.order("trustist/tokens", json!({"lifetime_seconds": 3600})).await;
    setting.call().await.unwrap();
    setting.partner_takes(&["v2"]).await;
    setting.file_is("v2").await;
    setting.call().await.unwrap();
    let (_, tokens) = setting.partner.get("/_simulator/trustist/tokens").await;
    assert_eq!(tokens["issued"], 1);
}

/// The keys of sub-merchants in the configuration, of which the one half is in a file.
#[tokio::test]
async fn s19_the_key_of_a_sub_account_is_read_again() {
    let partner = Control::start().await;
    let volume = Volume::new(&[("secret_key", "wrong".to_owned())]);
    let settings = format!(
        "[credentials]\n\
         reload_interval = \"200ms\"\n\
         [partners.trolley]\n\
         base_url = \"http://{}/trolley\"\n\
         access_key = \"{}\"\n\
         secret_key = \"{}\"\n\
         [[partners.trolley.accounts]]\n\
         id = \"{}\"\n\
         access_key = \"{}\"\n\
         secret_key_file = \"{}\"\n",
        partner.address,
        trolley::PARENT_ACCESS_KEY,
        trolley::PARENT_SECRET_KEY,
        trolley::SUBMERCHANT_ID,
        trolley::SUBMERCHANT_ACCESS_KEY,
        volume.path("secret_key"),
    );
    let gateway = Gateway::configured(&settings).await;
    let request = || json!({"submerchantId": trolley::SUBMERCHANT_ID});
    let failed = gateway.client.call(WEBHOOKS, request()).await.unwrap_err();
    assert_eq!(info(&failed).reason, "PARTNER_CREDENTIALS_REJECTED");
    volume.exchange(&[("secret_key", trolley::SUBMERCHANT_SECRET_KEY.to_owned())]);
    sleep(SEEN).await;
    gateway.client.call(WEBHOOKS, request()).await.unwrap();
}

/// As a missing key is, which the store refuses: the alert is the same.
#[tokio::test(flavor = "multi_thread")]
async fn s16_s19_a_line_that_is_no_key_is_refused_until_there_are_keys_again() {
    const NEW: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let keys = |text: &str| [("key", text.to_owned())];
    let (folder, volume) = (tempfile::tempdir().unwrap(), Volume::new(&keys(KEY)));
    let gateway = Gateway::simulated(&format!(
        "[store]\nurl = \"{}\"\nencryption_key_file = \"{}\"\n\
         [credentials]\nreload_interval = \"50ms\"",
        sqlite(folder.path()),
        volume.path("key"),
    ))
    .await;
    create(&gateway.client, "Acme").await.unwrap();
    let is_told = async |is_refused: u8| {
        let sample = format!("partner_gateway_keyring_refused {is_refused}\n");
        let told = async {
            while !metrics(gateway.operations()).await.contains(&sample) {
                sleep(Duration::from_millis(100)).await;
            }
        };
        let told = tokio::time::timeout(Duration::from_secs(20), told).await;
        told.unwrap_or_else(|_| panic!("{sample} is not told"));
    };
    is_told(0).await;
    volume.exchange(&keys(&format!("{NEW}\nno key\n{KEY}")));
    is_told(1).await;
    create(&gateway.client, "Acme again").await.unwrap();
    // Those of before are news as well.
    volume.exchange(&keys(KEY));
    is_told(0).await;
    // What is refused for another reason is still refused when it is no key any more.
    volume.exchange(&keys(NEW));
    is_told(1).await;
    volume.exchange(&keys("no key"));
    sleep(SEEN).await;
    is_told(1).await;
    volume.exchange(&keys(&format!("{NEW}\n{KEY}")));
    is_told(0).await;
}
