use jiff::Timestamp;
use tempfile::TempDir;

use super::super::row::Credential;
use super::super::{CredentialKind, Name, Origin, Record};
use super::*;
use crate::seal::Keyring;

const LIMIT: Duration = Duration::from_secs(5);

fn entry(number: u128) -> Entry {
    let name = Name {
        partner: "acme".to_owned(),
        kind: CredentialKind::KeyPair,
        account: format!("M{number}"),
    };
    let record = Record {
        id: Uuid::from_u128(number),
        name,
        version: 1,
        created: Timestamp::UNIX_EPOCH,
        updated: Timestamp::UNIX_EPOCH,
        last_used: None,
        expires: None,
        renews: None,
        origin: Origin::Issued,
        kek_id: String::new(),
    };
    let keyring = Keyring::generate().unwrap();
    let credential = Credential::seal(&keyring, record, &"a secret".into()).unwrap();
    Entry { intent: Uuid::from_u128(number), before: None, credential }
}

async fn open(folder: &TempDir) -> Journal {
    Journal::open(folder.path().join("journal"), LIMIT).await.unwrap()
}

/// A journal over a file that is open already.
fn over(path: PathBuf, file: File, limit: Duration) -> Journal {
    let file = Arc::new(AsyncMutex::new(Some(Log(file))));
    Journal { path, file, entries: Entries::default(), limit }
}

fn append_bytes(folder: &TempDir, bytes: &[u8]) {
    let mut file = OpenOptions::new().append(true).open(folder.path().join("journal")).unwrap();
    file.write_all(bytes).unwrap();
}

#[tokio::test]
async fn what_is_settled_is_gone_and_the_rest_stays() {
    let folder = TempDir::new().unwrap();
    let journal = open(&folder).await;
    let entries = [entry(1), entry(2), entry(3)];
    for entry in &entries {
        journal.append(entry.clone()).await.unwrap();
    }
    journal.settle(Uuid::from_u128(2)).await.unwrap();
    let left = [entries[0].clone(), entries[2].clone()];
    assert_eq!(journal.entries(), left);
    drop(journal);

    let journal = open(&folder).await;
    assert_eq!(journal.entries(), left);
    journal.settle(Uuid::from_u128(1)).await.unwrap();
    journal.settle(Uuid::from_u128(3)).await.unwrap();
    assert_eq!(std::fs::metadata(folder.path().join("journal")).unwrap().len(), 0);
}

/// S14: a crash in the middle of a frame costs that frame alone, which nobody was told
/// of, and is not taken for damage later.
#[tokio::test]
async fn s14_a_torn_end_is_cut_off() {
    let folder = TempDir::new().unwrap();
    let journal = open(&folder).await;
    journal.append(entry(1)).await.unwrap();
    drop(journal);
    append_bytes(&folder, b"\n300 0123456789abcdef {\"kept\":{\"int");

    let journal = open(&folder).await;
    journal.append(entry(2)).await.unwrap();
    drop(journal);
    let ids = |journal: Journal| journal.entries().into_iter().map(|it| it.intent.as_u128());
    assert_eq!(ids(open(&folder).await).collect::<Vec<_>>(), [1, 2]);
    assert!(!folder.path().join("journal.broken").exists());
}

#[tokio::test]
async fn s14_what_is_broken_is_kept_aside_once() {
    let folder = TempDir::new().unwrap();
    let journal = open(&folder).await;
    append_bytes(&folder, b"\nnot a frame\n");
    journal.append(entry(1)).await.unwrap();
    drop(journal);
    for _ in 0..2 {
        assert_eq!(open(&folder).await.entries().len(), 1);
        let aside = std::fs::read(folder.path().join("journal.broken")).unwrap();
        assert_eq!(aside, b"not a frame\n");
    }
}

#[tokio::test]
async fn a_journal_that_cannot_be_written_says_so() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("journal");
    File::create(&path).unwrap();
    let journal = over(path, File::open(folder.path().join("journal")).unwrap(), LIMIT);
    assert!(journal.append(entry(1)).await.is_err());
    assert!(journal.entries().is_empty());
    let nowhere = Journal::open(folder.path().join("none/journal"), LIMIT).await;
    assert!(matches!(nowhere, Err(Error::Journal(_))));
}

/// A disk that hangs costs the calls that write to it their bound, and nobody else
/// anything: a full pipe blocks whoever writes.
#[tokio::test(flavor = "multi_thread")]
async fn s14_a_disk_that_hangs_holds_up_only_those_that_write() {
    let (_reader, mut writer) = io::pipe().unwrap();
    let limit = Duration::from_millis(200);
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    while writer.write(&[0; 4096]).is_ok() {}
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    let file = File::from(std::os::fd::OwnedFd::from(writer));
    let journal = Arc::new(over(PathBuf::from("none"), file, limit));
    for number in 1..4 {
        let failed = journal.append(entry(number)).await.unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::TimedOut);
    }
    let other = Arc::clone(&journal);
    let entries = tokio::task::spawn_blocking(move || other.entries());
    assert!(tokio::time::timeout(LIMIT, entries).await.expect("it hangs").unwrap().is_empty());
    // One thread hangs, not one for each that asked.
    assert!(Arc::clone(&journal.file).try_lock_owned().is_err());
    assert!(!journal.is_held_elsewhere());
}

#[tokio::test]
async fn s14_a_journal_that_another_process_holds_is_taken_when_that_ends() {
    let folder = TempDir::new().unwrap();
    let before = open(&folder).await;
    before.append(entry(1)).await.unwrap();
    let after = open(&folder).await;
    assert!(after.is_held_elsewhere() && after.entries().is_empty());
    let refused = after.append(entry(2)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::WouldBlock);
    drop(before);
    assert!(after.take_over().await.unwrap());
    assert!(!after.take_over().await.unwrap());
    after.append(entry(2)).await.unwrap();
    assert_eq!(after.entries().iter().map(|it| it.intent.as_u128()).collect::<Vec<_>>(), [1, 2]);
}
