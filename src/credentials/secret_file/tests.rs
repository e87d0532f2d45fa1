use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use super::*;

const INTERVAL: Duration = Duration::from_secs(10);

/// Two files that are watched together, and what was taken of them.
struct Setting {
    folder: TempDir,
    taken: Arc<Mutex<Vec<String>>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Setting {
    /// The files are what `make` makes of a folder.
    async fn given(make: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path());
        let (files, taken) = (SecretFiles::default(), Arc::<Mutex<Vec<_>>>::default());
        let sources = ["a", "b"].map(|name| {
            let file = folder.path().join(name);
            let text = text_of(&std::fs::read_to_string(&file).unwrap()).unwrap();
            Source { text, file: Some(file) }
        });
        let all = Arc::clone(&taken);
        files.add("test", sources, move |texts| {
            let texts: Vec<_> = texts.iter().map(|text| text.expose_secret()).collect();
            if texts.contains(&"bad") {
                return Err("it is bad".to_owned());
            }
            all.lock().unwrap().push(texts.join(" "));
            Ok(())
        });
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(files.watch(INTERVAL, stop.clone()));
        tokio::task::yield_now().await;
        Self { folder, taken, stop, tasks }
    }

    async fn plain() -> Self {
        let setting = Self::given(|folder| {
            std::fs::write(folder.join("a"), "a1\n").unwrap();
            std::fs::write(folder.join("b"), "b1\r\n").unwrap();
        });
        setting.await
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// What has been taken by the time that a change must have been seen.
    async fn taken(&self) -> Vec<String> {
        sleep(INTERVAL + 2 * MOMENT).await;
        std::mem::take(&mut *self.taken.lock().unwrap())
    }
}

#[tokio::test(start_paused = true)]
async fn s19_a_changed_file_is_taken_once() {
    let setting = Setting::plain().await;
    assert!(setting.taken().await.is_empty());
    setting.write("b", "b2\n");
    assert_eq!(setting.taken().await, ["a1 b2"]);
    setting.write("b", "b2");
    assert!(setting.taken().await.is_empty(), "the line's end is not part of the secret");
}

/// The way the kubelet does it: the files are links into `..data`, which is a link itself
/// and is exchanged by a rename.
#[tokio::test(start_paused = true)]
async fn s19_a_volume_whose_link_is_exchanged_is_taken_as_a_whole() {
    let fill = |folder: &Path, version: &str| {
        let data = folder.join(format!("..{version}"));
        std::fs::create_dir(&data).unwrap();
        for name in ["a", "b"] {
            std::fs::write(data.join(name), format!("{name}{version}")).unwrap();
        }
        symlink(format!("..{version}"), folder.join("..data_tmp")).unwrap();
        std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    };
    let setting = Setting::given(|folder| {
        fill(folder, "1");
        symlink("..data/a", folder.join("a")).unwrap();
        symlink("..data/b", folder.join("b")).unwrap();
    });
    let setting = setting.await;
    fill(setting.folder.path(), "2");
    std::fs::remove_dir_all(setting.folder.path().join("..1")).unwrap();
    assert_eq!(setting.taken().await, ["a2 b2"]);
}

#[tokio::test(start_paused = true)]
async fn s19_a_pair_that_is_half_changed_is_not_taken() {
    let setting = Setting::plain().await;
    setting.write("a", "a2");
    sleep(INTERVAL + MOMENT / 2).await;
    // Between the two looks.
    setting.write("b", "b2");
    sleep(MOMENT).await;
    assert!(setting.taken.lock().unwrap().is_empty());
    assert_eq!(setting.taken().await, ["a2 b2"]);
}

#[tokio::test(start_paused = true)]
async fn s19_a_file_that_cannot_be_read_for_a_while_changes_nothing() {
    let setting = Setting::plain().await;
    let file = setting.folder.path().join("a");
    let gone: [&dyn Fn(); 4] = [
        &|| std::fs::remove_file(&file).unwrap(),
        &|| std::fs::write(&file, "").unwrap(),
        &|| std::fs::write(&file, "\n").unwrap(),
        &|| std::fs::write(&file, [0xff]).unwrap(),
    ];
    for make in gone {
        make();
        setting.write("b", "b2");
        assert!(setting.taken().await.is_empty());
        setting.write("a", "a1");
        setting.write("b", "b1");
        assert!(setting.taken().await.is_empty(), "it is what it was");
    }
    setting.write("a", "a2");
    assert_eq!(setting.taken().await, ["a2 b1"]);
}

#[tokio::test(start_paused = true)]
async fn s19_a_secret_that_cannot_be_used_is_not_the_end() {
    let setting = Setting::plain().await;
    setting.write("a", "bad");
    assert!(setting.taken().await.is_empty());
    setting.write("a", "a2");
    assert_eq!(setting.taken().await, ["a2 b1"]);
}

#[tokio::test(start_paused = true)]
async fn watching_ends_when_it_is_stopped_or_there_is_nothing_to_watch() {
    let setting = Setting::plain().await;
    setting.tasks.close();
    setting.stop.cancel();
    setting.tasks.wait().await;

    let files = SecretFiles::default();
    let inline = Source { text: "secret".into(), file: None };
    files.add("test", [inline], |_| Ok(()));
    files.watch(INTERVAL, CancellationToken::new()).await;
}

#[test]
fn s19_what_is_read_is_held_to_the_rules_of_the_configuration() {
    assert!(one_line(&"a b\u{e9}".into()).is_ok());
    assert!(one_line(&"a\nb".into()).is_err());
    assert_eq!(access_key(&"AK-1".into()).unwrap(), "AK-1");
    for text in ["a b", "a:b", "\u{e9}", "a\n"] {
        assert!(access_key(&text.into()).is_err(), "{text:?}");
    }
}

#[test]
fn o12_debug_and_problems_show_no_secret() {
    let files = SecretFiles::default();
    let source = Source { text: "canary".into(), file: Some("/secret".into()) };
    files.add("test", [source.clone()], |_| Ok(()));
    let problem = access_key(&"can ary".into()).unwrap_err();
    assert!(!format!("{files:?} {source:?} {problem}").contains("canary"));
}

/// Nobody writes to the pipe: whoever opens it waits. So does a file of a server that is
/// away.
#[tokio::test]
async fn s19_a_file_that_hangs_does_not_keep_the_others_from_being_read() {
    let folder = tempfile::tempdir().unwrap();
    let (pipe, file) = (folder.path().join("pipe"), folder.path().join("file"));
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    std::fs::write(&file, "0").unwrap();
    let (files, (taken, mut seen)) = (SecretFiles::default(), tokio::sync::mpsc::channel(9));
    files.add("hangs", [Source { text: "0".into(), file: Some(pipe.clone()) }], |_| Ok(()));
    files.add("is read", [Source { text: "0".into(), file: Some(file.clone()) }], move |texts| {
        taken.try_send(texts[0].expose_secret().to_owned()).map_err(|error| error.to_string())
    });
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    tasks.spawn(files.watch(Duration::from_millis(10), stop.clone()));
    for text in ["1", "2"] {
        std::fs::write(&file, text).unwrap();
        let next = timeout(3 * PATIENCE, seen.recv()).await;
        // The thread that waits for the pipe would outlive the test.
        if next.is_err() || text == "2" {
            std::fs::OpenOptions::new().write(true).open(&pipe).unwrap();
        }
        assert_eq!(next.unwrap().unwrap(), text);
    }
    stop.cancel();
}
