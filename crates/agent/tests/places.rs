//! What files do is the same wherever they are: on a disk and in a bucket.
#![expect(clippy::unwrap_used, reason = "a test says by unwrapping what it expects")]

use agent::workspace::{Bucket, Quota, Workspace, Workspaces};
use domain::sandboxes::{FileError, SandboxPath};
use tempfile::TempDir;
use uuid::Uuid;

/// A place of each kind, by name.
fn places(quota: Quota) -> [(&'static str, Workspaces, Option<TempDir>); 3] {
    let folder = tempfile::tempdir().unwrap();
    let disk = Workspaces::with_quota(folder.path().to_owned(), quota);
    let bucket = |prefix: &str| Workspaces::in_bucket(Bucket::in_memory(prefix), quota);
    [
        ("a disk", disk, Some(folder)),
        ("a bucket", bucket(""), None),
        ("a part of a bucket", bucket("here/and there"), None),
    ]
}

/// The test on each of them, on a thread that may block, beside a runtime that makes requests.
fn everywhere(quota: Quota, test: impl Fn(&Workspaces)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let places = {
        let _within = runtime.enter();
        places(quota)
    };
    for (place, workspaces, _folder) in places {
        println!("on {place}");
        test(&workspaces);
    }
}

fn path(text: &str) -> SandboxPath {
    SandboxPath::parse(text).unwrap()
}

fn names(sandbox: &Workspace, folder: &str) -> Vec<String> {
    let listed = sandbox.list(&path(folder)).unwrap();
    listed.into_iter().map(|file| if file.is_dir { format!("{}/", file.name) } else { file.name }).collect()
}

#[test]
fn files_are_written_listed_read_replaced_and_removed() {
    everywhere(Quota::default(), |workspaces| {
        let sandbox = workspaces.open("sbx_1");
        assert_eq!((names(&sandbox, ""), sandbox.used().unwrap()), (vec![], 0));
        sandbox.write(&path("b.txt"), b"bee").unwrap();
        sandbox.write(&path("in/deep/a.txt"), b"a").unwrap();
        workspaces.open("sbx_10").write(&path("b.txt"), b"another's").unwrap();
        assert_eq!(names(&sandbox, ""), ["b.txt", "in/"]);
        assert_eq!(names(&sandbox, "in"), ["deep/"]);
        let listed = sandbox.list(&path("in/deep")).unwrap();
        assert_eq!((listed[0].path.as_str(), listed[0].size), ("/workspace/in/deep/a.txt", 1));
        sandbox.write(&path("b.txt"), b"").unwrap();
        assert_eq!((sandbox.read(&path("b.txt")).unwrap(), sandbox.used().unwrap()), (vec![], 1));
        for _ in 0..2 {
            sandbox.remove(&path("b.txt")).unwrap();
            sandbox.remove(&path("nowhere/at/all")).unwrap();
        }
        assert_eq!(sandbox.read(&path("b.txt")), Err(FileError::NotFound("/workspace/b.txt".into())));
        for _ in 0..2 {
            workspaces.remove("sbx_1").unwrap();
        }
        assert_eq!((names(&sandbox, ""), sandbox.used().unwrap()), (vec![], 0));
        assert_eq!(workspaces.open("sbx_10").read(&path("b.txt")).unwrap(), b"another's");
    });
}

#[test]
fn any_name_that_a_path_can_have_comes_back_as_it_was() {
    let odd = [
        "a b.txt",
        "ä€🦀.txt",
        "50%.txt",
        "%41",
        "%2F",
        "a#b?c&d=e+f",
        "~tilde",
        "{brace}",
        "[0]",
        "it's",
        "...",
        "..a",
        "*",
        "a:b",
        "-",
        "CON",
    ];
    everywhere(Quota::default(), |workspaces| {
        let sandbox = workspaces.open("sbx_1");
        for name in odd {
            sandbox.write(&path(name), name.as_bytes()).unwrap();
            sandbox.write(&path(&format!("in/{name}/{name}")), b"").unwrap();
        }
        for name in odd {
            assert_eq!(sandbox.read(&path(name)).unwrap(), name.as_bytes(), "{name}");
            assert_eq!(names(&sandbox, &format!("in/{name}")), [name]);
        }
        assert_eq!(sandbox.list(&path("")).unwrap().len(), odd.len() + 1);
    });
}

#[test]
fn what_is_in_the_way_is_named_alike() {
    everywhere(Quota::default(), |workspaces| {
        let sandbox = workspaces.open("sbx_1");
        sandbox.write(&path("file"), b"f").unwrap();
        sandbox.write(&path("folder/inside"), b"i").unwrap();
        let below = |path: &str| {
            Err(FileError::NotAFolder { path: format!("/workspace/{path}"), name: "file".into(), found: "a file" })
        };
        let folder = Err(FileError::NotAFile { path: "/workspace/folder".into(), found: "a folder" });
        assert_eq!(sandbox.write(&path("file/x"), b""), below("file/x"));
        assert_eq!(sandbox.write(&path("file/x/y"), b""), below("file/x/y"));
        assert_eq!(sandbox.read(&path("file/x")).map(drop), below("file/x"));
        assert_eq!(sandbox.list(&path("file")).map(drop), below("file"));
        assert_eq!(sandbox.list(&path("file/x")).map(drop), below("file/x"));
        assert_eq!(sandbox.write(&path("folder"), b""), folder);
        assert_eq!(sandbox.read(&path("folder")).map(drop), folder);
        assert_eq!(sandbox.begin(&path("file/x"), 10).map(drop), below("file/x"));
        assert_eq!(sandbox.list(&path("none")).map(drop), Err(FileError::NotFound("/workspace/none".into())));
        assert_eq!(
            sandbox.read(&path("folder/none")).map(drop),
            Err(FileError::NotFound("/workspace/folder/none".into()))
        );
        for nameless in [sandbox.write(&path(""), b""), sandbox.read(&path("")).map(drop), sandbox.remove(&path(""))] {
            assert!(matches!(nameless, Err(FileError::BadPath(_))), "{nameless:?}");
        }
        for id in ["", "..", "a/b", ".claims", "UP"] {
            assert!(matches!(workspaces.open(id).used(), Err(FileError::BadPath(_))), "{id}");
        }
    });
}

#[test]
fn a_sandbox_takes_no_more_than_it_may() {
    let quota = Quota { entries: 3, bytes: 100, ..Quota::default() };
    everywhere(quota, |workspaces| {
        let sandbox = workspaces.open("sbx_1");
        let full = |outcome: Result<(), FileError>| matches!(outcome, Err(FileError::Quota(_)));
        sandbox.write(&path("a"), &[1; 60]).unwrap();
        assert!(full(sandbox.write(&path("b"), &[2; 41])));
        sandbox.write(&path("b"), &[2; 40]).unwrap();
        sandbox.write(&path("a"), &[1; 60]).unwrap();
        assert!(full(sandbox.write(&path("a"), &[1; 61])));
        sandbox.write(&path("c"), b"").unwrap();
        assert!(full(sandbox.write(&path("d"), b"")));
        sandbox.remove(&path("c")).unwrap();
        sandbox.write(&path("a"), b"").unwrap();
        let bounded = sandbox.clone().within(50);
        assert!(full(bounded.write(&path("a"), &[1; 11])));
        bounded.write(&path("a"), &[1; 10]).unwrap();
        assert!(matches!(sandbox.write(&path("a"), &vec![0; 10 * 1024 * 1024 + 1]), Err(FileError::TooLarge { .. })));
    });
}

#[test]
fn a_file_that_comes_in_pieces_is_there_whole_or_not_at_all() {
    let quota = Quota { bytes: 30 * 1024 * 1024, ..Quota::default() };
    everywhere(quota, |workspaces| {
        let sandbox = workspaces.open("sbx_1");
        let piece: Vec<u8> = (0..1_000_003_u32).map(|number| number.to_le_bytes()[0]).collect();
        for pieces in [0, 1, 20] {
            let mut incoming = sandbox.begin(&path("in/large"), 1 << 30).unwrap();
            for _ in 0..pieces {
                incoming.push(&piece).unwrap();
            }
            let size = u64::try_from(piece.len() * pieces).unwrap();
            assert_eq!(incoming.finish().unwrap(), size);
            assert_eq!(sandbox.list(&path("in")).unwrap()[0].size, size);
        }
        assert!(matches!(sandbox.read(&path("in/large")), Err(FileError::TooLarge { .. })));
        let mut given_up = sandbox.begin(&path("in/large"), 1 << 30).unwrap();
        given_up.push(&piece).unwrap();
        drop(given_up);
        assert_eq!(sandbox.used().unwrap(), 20 * 1_000_003);
        // No more than was said, and than there is room for.
        assert!(matches!(sandbox.begin(&path("x"), 3).unwrap().push(b"four"), Err(FileError::TooLarge { .. })));
        let mut most = sandbox.begin(&path("x"), 1 << 30).unwrap();
        assert!((0..12).any(|_| matches!(most.push(&piece), Err(FileError::Quota(_)))));
    });
}

#[test]
fn edits_of_many_at_once_are_all_there() {
    everywhere(Quota::default(), |workspaces| {
        let sandbox = workspaces.open("sbx_1");
        sandbox.write(&path("list"), b"").unwrap();
        std::thread::scope(|threads| {
            for writer in 0..4 {
                let sandbox = &sandbox;
                threads.spawn(move || {
                    for line in 0..25 {
                        let add = |mut bytes: Vec<u8>| {
                            bytes.extend_from_slice(format!("{writer}-{line}\n").as_bytes());
                            Ok::<_, FileError>(bytes)
                        };
                        sandbox.edit(&path("list"), add).unwrap();
                    }
                });
            }
        });
        let list = String::from_utf8(sandbox.read(&path("list")).unwrap()).unwrap();
        let mut lines: Vec<&str> = list.lines().collect();
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines.len(), 100);
        let refuses = |_: Vec<u8>| Err(FileError::BadPath("no".into()));
        assert_eq!(sandbox.edit(&path("list"), refuses), Err(FileError::BadPath("no".into())));
        assert_eq!(sandbox.edit(&path("none"), refuses), Err(FileError::NotFound("/workspace/none".into())));
    });
}

#[test]
fn a_worker_that_lost_its_job_writes_nothing() {
    let claim = |workspaces: &Workspaces, claim: u64| {
        workspaces.open_for("sbx_1", Uuid::from_u128(7), Uuid::from_u128(claim.into()), claim)
    };
    everywhere(Quota::default(), |workspaces| {
        let (old, new) = (claim(workspaces, 1), claim(workspaces, 2));
        assert!(old.write(&path("a"), b"before it entered").is_err());
        old.enter().unwrap();
        old.write(&path("a"), b"old").unwrap();
        new.enter().unwrap();
        new.write(&path("a"), b"new").unwrap();
        assert!(old.write(&path("a"), b"late").is_err() && old.write(&path("b"), b"late").is_err());
        assert!(old.edit(&path("a"), |_| Ok::<_, FileError>(b"late".to_vec())).is_err());
        assert_eq!((new.read(&path("a")).unwrap(), names(&new, "")), (b"new".to_vec(), vec!["a".to_owned()]));
        // Whoever leaves takes nothing from whoever came after.
        old.leave();
        new.write(&path("a"), b"again").unwrap();
        new.leave();
        assert!(new.write(&path("a"), b"after it left").is_err());
        // Whoever enters too late takes nothing either.
        let (late, later) = (claim(workspaces, 9), claim(workspaces, 10));
        later.enter().unwrap();
        later.write(&path("a"), b"later").unwrap();
        assert!(late.enter().is_err() && late.write(&path("a"), b"late").is_err());
        later.write(&path("a"), b"later still").unwrap();
        later.leave();
        // People need no claim.
        workspaces.open("sbx_1").write(&path("a"), b"theirs").unwrap();
        workspaces.remove("sbx_1").unwrap();
        assert!(new.write(&path("a"), b"").is_err());
    });
}

/// Two nodes on one bucket, of which the second does something while the first is between reading a file and replacing it.
fn in_between(first: impl Fn(&Workspaces, &dyn Fn()), second: impl Fn(&Workspaces)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let bucket = Bucket::in_memory("");
    let node = || {
        let _within = runtime.enter();
        Workspaces::in_bucket(bucket.clone(), Quota::default())
    };
    let (one, other) = (node(), node());
    let began = std::cell::Cell::new(false);
    first(&one, &|| {
        if !began.replace(true) {
            second(&other);
        }
    });
}

#[test]
fn an_edit_that_another_node_comes_before_begins_anew_with_what_it_wrote() {
    in_between(
        |workspaces, second| {
            let sandbox = workspaces.open("sbx_1");
            sandbox.write(&path("a"), b"one ").unwrap();
            let add = |bytes: Vec<u8>| {
                second();
                Ok::<_, FileError>([bytes, b"three ".to_vec()].concat())
            };
            sandbox.edit(&path("a"), add).unwrap();
            assert_eq!(sandbox.read(&path("a")).unwrap(), b"one two three ");
        },
        |workspaces| workspaces.open("sbx_1").write(&path("a"), b"one two ").unwrap(),
    );
}

/// As it looks to a node whose first put arrived and whose answer to it was lost.
#[test]
fn an_edit_that_is_there_already_is_not_made_again() {
    in_between(
        |workspaces, second| {
            let sandbox = workspaces.open("sbx_1");
            sandbox.write(&path("a"), b"one ").unwrap();
            let add = |bytes: Vec<u8>| {
                second();
                Ok::<_, FileError>([bytes, b"two ".to_vec()].concat())
            };
            sandbox.edit(&path("a"), add).unwrap();
            assert_eq!(sandbox.read(&path("a")).unwrap(), b"one two ");
        },
        |workspaces| workspaces.open("sbx_1").write(&path("a"), b"one two ").unwrap(),
    );
}

#[test]
fn a_worker_that_loses_its_job_in_the_middle_of_an_edit_changes_nothing() {
    let claim = |workspaces: &Workspaces, claim: u64| {
        workspaces.open_for("sbx_1", Uuid::from_u128(7), Uuid::from_u128(claim.into()), claim)
    };
    in_between(
        |workspaces, second| {
            let old = claim(workspaces, 1);
            old.enter().unwrap();
            old.write(&path("a"), b"old").unwrap();
            let add = |bytes: Vec<u8>| {
                second();
                Ok::<_, FileError>([bytes, b"late".to_vec()].concat())
            };
            assert!(old.edit(&path("a"), add).is_err());
            assert_eq!(old.read(&path("a")).unwrap(), b"old");
        },
        |workspaces| claim(workspaces, 2).enter().unwrap(),
    );
}
