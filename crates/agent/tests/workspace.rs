//! Nothing gets out of a sandbox: not by a path, not by a link, not by a race. And nothing gets in beyond its quota.
#![expect(clippy::unwrap_used, reason = "the fixtures below fail loudly when the machine fails them")]

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use agent::models::Pictures;
use agent::workspace::{LIST_MAX, Quota, Workspace, Workspaces};
use domain::sandboxes::{FILE_MAX, FileError, SandboxPath};
use domain::turns::ImageRef;
use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with};
use tempfile::TempDir;
use uuid::Uuid;

/// A sandbox `s` with the file `in/a.csv`, and beside all sandboxes a folder that holds a secret.
struct Place {
    dir: TempDir,
    workspaces: Workspaces,
}

impl Place {
    fn new() -> Self {
        Self::with_quota(Quota::default())
    }

    fn with_quota(quota: Quota) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/secret"), "secret").unwrap();
        let workspaces = Workspaces::with_quota(dir.path().join("sandboxes"), quota);
        workspaces.open("s").write(&file("in/a.csv"), b"inside").unwrap();
        Self { dir, workspaces }
    }

    fn open(&self) -> Workspace {
        self.workspaces.open("s")
    }

    fn outside(&self, name: &str) -> PathBuf {
        self.dir.path().join("outside").join(name)
    }

    /// A path of the sandbox on the real disk.
    fn real(&self, name: &str) -> PathBuf {
        self.dir.path().join("sandboxes/s").join(name)
    }

    fn assert_unharmed(&self) {
        assert_eq!(fs::read_to_string(self.outside("secret")).unwrap(), "secret");
        assert_eq!(fs::read_dir(self.outside("")).unwrap().count(), 1, "something was made outside");
    }
}

fn file(path: &str) -> SandboxPath {
    SandboxPath::parse_file(path).unwrap()
}

fn folder(path: &str) -> SandboxPath {
    SandboxPath::parse(path).unwrap()
}

#[test]
fn a_path_that_could_leave_is_no_path() {
    let deep = "d/".repeat(40) + "f";
    let long = "n".repeat(256);
    let refused = [
        "..",
        "../",
        "../s2/f",
        "in/..",
        "in/../..",
        "in/../../outside/secret",
        "./../x",
        "a/./../b",
        "a//../b",
        "/workspace/..",
        "/workspace/../outside/secret",
        "/workspace/in/../../x",
        "/..",
        "/",
        "/etc/passwd",
        "/proc/self/root",
        "/proc/self/cwd/x",
        "/dev/null",
        "//workspace/a",
        "//etc/passwd",
        "/workspacex",
        "/workspace2/f",
        "/Workspace/f",
        "/work",
        "\0",
        "a\0",
        "a\0b",
        "in/a.csv\0.txt",
        "/workspace/\0",
        "a\nb",
        "a\rb",
        "a\tb",
        "\u{1b}[2J",
        "a\u{7f}",
        "a\u{85}b",
        "..\\x",
        "a\\b",
        "C:\\x",
        "in\\..\\..\\x",
        "a\u{202e}b",
        "a\u{2066}b",
        "a\u{200f}b",
        &deep,
        &long,
    ];
    for path in refused {
        assert!(SandboxPath::parse_file(path).is_err(), "{path:?}");
    }
}

#[test]
fn odd_names_stay_names() {
    let place = Place::new();
    for name in [
        "...",
        "..a",
        "a..",
        ".hidden",
        "%2e%2e",
        "..%2fx",
        "~",
        "~root",
        "$HOME",
        "-rf",
        "a b",
        "naïve.csv",
        "请求.txt",
        "*",
        "CON",
        "'q'",
        ".incoming",
    ] {
        place.open().write(&file(name), name.as_bytes()).unwrap();
        assert_eq!(place.open().read(&file(name)).unwrap(), name.as_bytes(), "{name:?}");
        assert_eq!(fs::read(place.real(name)).unwrap(), name.as_bytes(), "{name:?} is kept as it is");
    }
    place.assert_unharmed();
}

#[test]
fn links_and_devices_are_neither_read_nor_written_nor_listed() {
    let place = Place::new();
    let link = |target: PathBuf, name: &str| symlink(target, place.real(name)).unwrap();
    link(place.outside("secret"), "file_out");
    link("../../outside/secret".into(), "file_out_relative");
    link(place.outside(""), "dir_out");
    link("../..".into(), "dir_up");
    link("/".into(), "dir_root");
    link("in/a.csv".into(), "file_in");
    link("in".into(), "dir_in");
    link(".".into(), "dir_self");
    link("loop".into(), "loop");
    link("nowhere".into(), "dangling");
    link(place.outside("new"), "dangling_out");
    link("/proc/self/root".into(), "magic");
    link("../dir_out".into(), "in/chained");
    fs::hard_link(place.outside("secret"), place.real("hard_out")).unwrap();
    fs::write(place.real("twin"), "x").unwrap();
    fs::hard_link(place.real("twin"), place.real("in/twin")).unwrap();
    let _socket = UnixListener::bind(place.real("socket")).unwrap();
    mknodat(CWD, place.real("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let before = fs::read_dir(place.real("")).unwrap().count();

    let refused = [
        "file_out",
        "file_out_relative",
        "dir_out",
        "dir_up",
        "dir_root",
        "file_in",
        "dir_in",
        "dir_self",
        "loop",
        "dangling",
        "dangling_out",
        "magic",
        "in/chained",
        "hard_out",
        "twin",
        "in/twin",
        "socket",
        "fifo",
        "in",
    ];
    for path in refused {
        assert!(matches!(place.open().read(&file(path)), Err(FileError::NotAFile { .. })), "read {path}");
        assert!(matches!(place.open().write(&file(path), b"x"), Err(FileError::NotAFile { .. })), "write {path}");
    }
    let through = [
        "dir_out/secret",
        "dir_out/new",
        "dir_up/outside/secret",
        "dir_root/etc/passwd",
        "dir_in/a.csv",
        "dir_self/in/a.csv",
        "dir_self/dir_self/twin",
        "loop/x",
        "dangling/x",
        "magic/etc/passwd",
        "in/chained/secret",
        "in/a.csv/x",
        "fifo/x",
        "in/a.csv/x/y",
    ];
    for path in through {
        assert!(matches!(place.open().read(&file(path)), Err(FileError::NotAFolder { .. })), "read {path}");
        assert!(matches!(place.open().write(&file(path), b"x"), Err(FileError::NotAFolder { .. })), "write {path}");
        assert!(place.open().list(&folder(path)).is_err(), "list {path}");
    }
    for path in ["dir_out", "dir_in", "dir_self", "magic", "in/a.csv"] {
        assert!(matches!(place.open().list(&folder(path)), Err(FileError::NotAFolder { .. })), "list {path}");
    }
    let listed: Vec<String> = place.open().list(&folder("")).unwrap().into_iter().map(|info| info.name).collect();
    assert_eq!(listed, ["in"]);
    assert_eq!(fs::read_dir(place.real("")).unwrap().count(), before, "nothing was made or taken away");
    place.assert_unharmed();
}

#[test]
fn a_sandbox_that_is_itself_a_link_is_refused() {
    let place = Place::new();
    symlink(place.outside(""), place.dir.path().join("sandboxes/t")).unwrap();
    let linked = place.workspaces.open("t");
    assert!(linked.read(&file("secret")).is_err());
    assert!(linked.write(&file("new"), b"x").is_err());
    assert!(linked.list(&folder("")).is_err());
    let _ = place.workspaces.remove("t");
    place.assert_unharmed();
}

#[test]
fn an_id_is_a_plain_name() {
    let place = Place::new();
    for id in ["", ".", "..", "../outside", "s/in", "/", "S", "s\0", "s-1", ".incoming", "é", &"a".repeat(129)] {
        let workspace = place.workspaces.open(id);
        assert!(matches!(workspace.list(&folder("")), Err(FileError::BadPath(_))), "{id:?}");
        assert!(matches!(workspace.write(&file("f"), b""), Err(FileError::BadPath(_))), "{id:?}");
        assert!(matches!(place.workspaces.remove(id), Err(FileError::BadPath(_))), "{id:?}");
    }
    assert!(place.workspaces.open("../outside").read(&file("secret")).is_err());
    place.assert_unharmed();
}

/// Ends the other thread, also when the test fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Somebody inside swaps a folder and a link to the outside, and a file and such a link, as fast as the machine can.
#[test]
fn no_race_gets_out() {
    let place = Place::new();
    fs::write(place.real("in/secret"), "inside").unwrap();
    fs::write(place.real("f"), "inside").unwrap();
    symlink(place.outside(""), place.real("link")).unwrap();
    symlink(place.outside("secret"), place.real("flink")).unwrap();
    let stop = AtomicBool::new(false);
    let swap = |a: &str, b: &str| renameat_with(CWD, place.real(a), CWD, place.real(b), RenameFlags::EXCHANGE).unwrap();
    let (mut inside, mut refused) = (0, 0);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                swap("in", "link");
                swap("f", "flink");
            }
        });
        let _swapping = StopOnDrop(&stop);
        let workspace = place.open();
        for turn in 0..6_000 {
            for path in ["in/secret", "f"] {
                match workspace.read(&file(path)) {
                    Ok(bytes) => {
                        inside += 1;
                        assert_eq!(bytes, b"inside", "{path} was read outside in turn {turn}");
                    }
                    Err(_) => refused += 1,
                }
            }
            if turn % 20 == 0 {
                let _ = workspace.write(&file("in/new"), b"inside");
                let _ = workspace.list(&folder("in")).map(|found| assert!(found.len() <= 3));
            }
        }
    });
    assert!(inside > 0 && refused > 0, "there was no race: {inside} read, {refused} refused");
    place.assert_unharmed();
}

#[test]
fn a_missing_sandbox_reads_as_empty_and_is_made_by_the_first_write() {
    let place = Place::new();
    let fresh = place.workspaces.open("fresh");
    assert_eq!(fresh.list(&folder("")).unwrap(), []);
    assert!(matches!(fresh.list(&folder("in")), Err(FileError::NotFound(path)) if path == "/workspace/in"));
    assert!(matches!(fresh.read(&file("a")), Err(FileError::NotFound(path)) if path == "/workspace/a"));
    assert!(!place.dir.path().join("sandboxes/fresh").exists());
    fresh.write(&file("a/b/c.txt"), b"c").unwrap();
    assert_eq!(fresh.read(&file("/workspace/a/b/c.txt")).unwrap(), b"c");
    assert!(matches!(fresh.read(&file("a/x/c.txt")), Err(FileError::NotFound(_))));
    assert!(matches!(fresh.read(&file("a/b")), Err(FileError::NotAFile { found: "a folder", .. })));
    assert!(matches!(fresh.read(&folder("")), Err(FileError::BadPath(_))));
    place.workspaces.remove("fresh").unwrap();
    place.workspaces.remove("fresh").unwrap();
    assert_eq!(fresh.list(&folder("")).unwrap(), []);
    assert_eq!(place.open().read(&file("in/a.csv")).unwrap(), b"inside", "the neighbour is left alone");
}

#[test]
fn a_listing_is_sorted_and_cut() {
    let place = Place::with_quota(Quota { entries: 2_000, ..Quota::default() });
    for number in (0..LIST_MAX + 50).rev() {
        fs::write(place.real(&format!("in/f{number:05}")), "xy").unwrap();
    }
    fs::create_dir(place.real("in/a_folder")).unwrap();
    let found = place.open().list(&folder("in")).unwrap();
    assert_eq!(found.len(), LIST_MAX);
    assert_eq!((found[0].path.as_str(), found[0].size, found[0].is_dir), ("/workspace/in/a.csv", 6, false));
    assert_eq!((found[1].name.as_str(), found[1].size, found[1].is_dir), ("a_folder", 0, true));
    assert!(found.is_sorted_by_key(|info| info.name.clone()));
}

#[test]
fn a_file_has_a_largest_size_to_read_and_to_write() {
    let place = Place::new();
    let most = vec![b'x'; FILE_MAX];
    place.open().write(&file("most"), &most).unwrap();
    assert_eq!(place.open().read(&file("most")).unwrap().len(), FILE_MAX);
    let more = [most.as_slice(), b"y"].concat();
    assert!(
        matches!(place.open().write(&file("most"), &more), Err(FileError::TooLarge { size, .. }) if size == more.len() as u64)
    );
    fs::File::create(place.real("sparse")).unwrap().set_len(1 << 40).unwrap();
    assert!(matches!(place.open().read(&file("sparse")), Err(FileError::TooLarge { size, .. }) if size == 1 << 40));
}

#[test]
fn a_sandbox_holds_so_many_files_and_bytes_and_no_more() {
    // `in` and `in/a.csv` are there: two names, six bytes.
    let place = Place::with_quota(Quota { entries: 4, bytes: 20, ..Quota::default() });
    let workspace = place.open();
    assert!(
        matches!(workspace.write(&file("b/c/d"), b""), Err(FileError::Quota(_))),
        "two folders and a file are three names"
    );
    assert!(!place.real("b").exists(), "a refused write makes nothing");
    workspace.write(&file("b/c"), b"12345678").unwrap();
    assert!(matches!(workspace.write(&file("d"), b""), Err(FileError::Quota(_))));
    workspace.write(&file("b/c"), b"12345678901234").unwrap();
    assert!(matches!(workspace.write(&file("b/c"), b"123456789012345"), Err(FileError::Quota(_))));
    workspace.write(&file("b/c"), b"1").unwrap();
    fs::write(place.real("big"), [0; 100]).unwrap();
    workspace.write(&file("big"), &[0; 50]).unwrap();
    place.workspaces.open("other").write(&file("f"), b"each has its own").unwrap();
}

#[test]
fn writers_take_turns_and_leave_nothing_behind() {
    let place = Place::new();
    place.open().write(&file("count"), b"0").unwrap();
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for _ in 0..25 {
                    let add = |bytes: Vec<u8>| {
                        let count: u32 = String::from_utf8(bytes).unwrap().parse().unwrap();
                        Ok::<_, FileError>((count + 1).to_string().into_bytes())
                    };
                    place.open().edit(&file("count"), add).unwrap();
                }
            });
        }
    });
    assert_eq!(place.open().read(&file("count")).unwrap(), b"100");
    assert_eq!(fs::read_dir(place.dir.path().join("sandboxes/.incoming")).unwrap().count(), 0);
    // What a killed server left is swept by the next one.
    fs::write(place.dir.path().join("sandboxes/.incoming/1-1"), "half").unwrap();
    let _next = Workspaces::new(place.dir.path().join("sandboxes"));
    assert!(!place.dir.path().join("sandboxes/.incoming/1-1").exists());
}

#[tokio::test]
async fn a_picture_is_shown_only_while_it_is_the_same() {
    let place = Place::new();
    let sha256 = "c96c6d5be8d08a12e7b5cdc1b207fa6b2430974c86803d8891675e76fd992c20".to_owned();
    place.open().write(&file("p.png"), b"input").unwrap();
    let image = ImageRef { path: "/workspace/p.png".into(), media_type: "image/png".into(), sha256, size_bytes: 5 };
    assert_eq!(place.open().load(&image).await.unwrap(), b"input");
    let outside = ImageRef { path: "/workspace/../p.png".into(), ..image.clone() };
    assert_eq!(place.open().load(&outside).await, None);
    place.open().write(&file("p.png"), b"other").unwrap();
    assert_eq!(place.open().load(&image).await, None);
}

/// Two nodes over one folder, and a claim of the same Job on each.
fn two_claims(root: &Path) -> [Workspace; 2] {
    [1, 2].map(|claim| {
        let node = Workspaces::shared(root.to_owned(), Quota::default(), Uuid::from_u128(claim.into()));
        node.open_for("sbx_1", Uuid::from_u128(7), Uuid::from_u128(claim.into()), claim)
    })
}

#[test]
fn a_worker_that_lost_its_job_in_the_middle_of_an_edit_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let [old, new] = two_claims(root.path());
    old.enter().unwrap();
    old.write(&file("a"), b"1").unwrap();
    let edited = old.edit(&file("a"), |bytes| {
        assert_eq!(bytes, b"1");
        // It freezes here, its lease ends, and the next one finishes the Job.
        new.enter().unwrap();
        new.write(&file("a"), b"2").unwrap();
        Ok::<_, FileError>(b"3".to_vec())
    });
    assert!(matches!(&edited, Err(FileError::Io(why)) if why.contains("another one has the Job")), "{edited:?}");
    assert!(old.write(&file("b"), b"3").is_err());
    assert_eq!((new.read(&file("a")).unwrap(), new.list(&folder("")).unwrap().len()), (b"2".to_vec(), 1));
}

#[test]
fn what_an_earlier_worker_was_writing_never_arrives() {
    let root = tempfile::tempdir().unwrap();
    let [old, new] = two_claims(root.path());
    old.enter().unwrap();
    let mut coming = Box::new(old.begin(&file("a"), 10).unwrap());
    coming.push(b"old").unwrap();
    new.enter().unwrap();
    new.write(&file("a"), b"new").unwrap();
    assert!(coming.finish().is_err());
    assert_eq!(new.read(&file("a")).unwrap(), b"new");
    // The other way round there is nothing to take: whoever comes too late takes the files from nobody but its own Job.
    let other = Workspaces::shared(root.path().to_owned(), Quota::default(), Uuid::from_u128(3));
    other.open_for("sbx_1", Uuid::from_u128(8), Uuid::from_u128(3), 3).enter().unwrap();
    new.write(&file("a"), b"newer").unwrap();
}

#[test]
fn however_fast_an_earlier_worker_writes_it_is_shut_out() {
    let root = tempfile::tempdir().unwrap();
    let [old, new] = two_claims(root.path());
    old.enter().unwrap();
    let (wrote, written) = std::sync::mpsc::channel();
    let writing = std::thread::spawn(move || {
        while old.write(&file("a"), b"old").is_ok() {
            wrote.send(()).unwrap();
        }
    });
    // On a busy machine that takes its time.
    for _ in 0..3 {
        written.recv().unwrap();
    }
    new.enter().unwrap();
    new.write(&file("a"), b"new").unwrap();
    writing.join().unwrap();
    assert_eq!(new.read(&file("a")).unwrap(), b"new");
}

#[test]
fn claims_leave_nothing_behind() {
    let root = tempfile::tempdir().unwrap();
    let [old, new] = two_claims(root.path());
    let of_the_sandbox = root.path().join(".claims/sbx_1");
    old.enter().unwrap();
    old.write(&file("a"), b"1").unwrap();
    assert_eq!(fs::read_dir(&of_the_sandbox).unwrap().count(), 1);
    old.leave();
    assert_eq!(fs::read_dir(&of_the_sandbox).unwrap().count(), 0);
    assert!(old.write(&file("a"), b"2").is_err());
    new.enter().unwrap();
    let node = Workspaces::shared(root.path().to_owned(), Quota::default(), Uuid::from_u128(3));
    node.remove("sbx_1").unwrap();
    assert!(!of_the_sandbox.exists() && new.write(&file("a"), b"3").is_err());
}
