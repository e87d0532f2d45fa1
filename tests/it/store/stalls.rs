//! A PostgreSQL that dies silently: nothing is refused and nothing is answered, on the
//! connections that there are, for good. New ones lead to the one that took its place.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::join_all;
use partner_gateway::store::{Error, Settings, Store};
use sqlx::Executor as _;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::place::{OLD, Place, new};

/// The bound on an operation, and how many there can be at once.
const LIMIT: Duration = Duration::from_secs(4);
const CONNECTIONS: u32 = 4;
/// For anything that is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// What stands between a store and its database.
struct Proxy {
    port: u16,
    stalled: watch::Sender<()>,
}

// === impl Proxy ===

impl Proxy {
    async fn start(place: &Place) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stalled, server) = (watch::Sender::new(()), place.written.join(".s.PGSQL.5432"));
        let watching = stalled.clone();
        #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(pass(client, server.clone(), watching.subscribe()));
            }
        });
        Self { port, stalled }
    }

    /// From now on nothing passes over the connections that there are. They stay open, and
    /// what is sent on them is acknowledged.
    fn stall(&self) {
        self.stalled.send_replace(());
    }

    /// A store that reaches its database over it.
    async fn open(&self, place: &Place) -> Store {
        let (server, _) = place.url.split_once("?host=").unwrap();
        let url = server.replace("localhost", &format!("127.0.0.1:{}", self.port));
        let settings = Settings {
            url: format!("{url}?sslmode=disable").into(),
            timeout: LIMIT,
            max_connections: CONNECTIONS,
            ..place.settings(OLD)
        };
        place.try_open(settings).await.unwrap()
    }
}

async fn pass(mut client: TcpStream, server: PathBuf, mut stalled: watch::Receiver<()>) {
    let mut server = UnixStream::connect(server).await.unwrap();
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = stalled.changed() => std::future::pending().await,
    }
}

/// As many operations at once as there can be.
async fn put_at_once(store: &Store) -> Vec<Result<i64, Error>> {
    let calls = (0..CONNECTIONS).map(|number| {
        let (store, new) = (store.clone(), new(&format!("M{number}"), "secret"));
        async move { store.put(new).await.map(|record| record.version) }
    });
    join_all(calls).await
}

/// Waits until all of these operations wait for a lock.
async fn until_locked(place: &Place) {
    let waiting = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() \
                   AND wait_event_type = 'Lock'";
    let begun = Instant::now();
    while place.rows(waiting).await.len() < usize::try_from(CONNECTIONS).unwrap() {
        assert!(begun.elapsed() < PATIENCE, "they do not wait");
        sleep(Duration::from_millis(20)).await;
    }
}

/// G29: the library would wait for each of them to answer, and nobody else would get one.
#[tokio::test(flavor = "multi_thread")]
async fn g29_connections_that_hang_in_use_are_given_up() {
    let Some(place) = Place::postgres().await else { return };
    let proxy = Proxy::start(&place).await;
    let store = proxy.open(&place).await;
    let mut other = place.connect().await;
    other.execute("BEGIN").await.unwrap();
    other.execute("LOCK TABLE credentials").await.unwrap();
    let stall = async {
        until_locked(&place).await;
        proxy.stall();
    };
    let (during, ()) = tokio::join!(put_at_once(&store), stall);
    assert!(during.iter().all(|it| matches!(it, Err(Error::Unavailable(_)))), "{during:?}");
    other.execute("ROLLBACK").await.unwrap();
    let begun = Instant::now();
    while let Err(error) = store.put(new("M1", "after")).await {
        assert!(begun.elapsed() < PATIENCE, "{error:?}");
    }
    assert!(put_at_once(&store).await.iter().all(Result::is_ok));
}

/// G29: a call that meets such a connection goes on with another one.
#[tokio::test(flavor = "multi_thread")]
async fn g29_connections_that_hang_unused_cost_no_call() {
    let Some(place) = Place::postgres().await else { return };
    let proxy = Proxy::start(&place).await;
    let store = proxy.open(&place).await;
    assert!(put_at_once(&store).await.iter().all(Result::is_ok));
    proxy.stall();
    for _ in 0..2 {
        let after = put_at_once(&store).await;
        assert!(after.iter().all(Result::is_ok), "{after:?}");
    }
}
