//! The tools as a model uses them: what comes back, and what it is told when a call is wrong.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the fixtures below fail loudly when the machine fails them")]

use agent::tools::guide::guide;
use agent::tools::pdf::PdfReader;
use agent::tools::{Toolbox, replay, specs};
use agent::workspace::{Workspace, Workspaces};
use domain::sandboxes::SandboxPath;
use domain::turns::{Outcome, Replay, ToolCall};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

struct Desk {
    workspace: Workspace,
    tools: Toolbox,
    _dir: TempDir,
}

impl Desk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let workspace = Workspaces::new(dir.path().join("sandboxes")).open("s");
        let tools = Toolbox::new(workspace.clone(), PdfReader::new("/bin/true".into()));
        Self { workspace, tools, _dir: dir }
    }

    fn put(&self, path: &str, bytes: &[u8]) {
        self.workspace.write(&SandboxPath::parse_file(path).unwrap(), bytes).unwrap();
    }

    fn get(&self, path: &str) -> String {
        String::from_utf8(self.workspace.read(&SandboxPath::parse_file(path).unwrap()).unwrap()).unwrap()
    }

    async fn call(&self, name: &str, arguments: Value) -> Outcome {
        let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
        let (id, key, name) = ("c1".into(), Uuid::nil(), name.to_owned());
        self.tools.call(&ToolCall { id, key, replay: replay(&name), name, arguments, target: None }).await
    }

    async fn ok(&self, name: &str, arguments: Value) -> Value {
        match self.call(name, arguments).await {
            Outcome::Ok(value) => value,
            other => panic!("{name}: {other:?}"),
        }
    }

    async fn error(&self, name: &str, arguments: Value) -> String {
        match self.call(name, arguments).await {
            Outcome::Error(why) => why,
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_plan_comes_back_as_a_list() {
    let desk = Desk::new();
    let items = json!([{"text": "Read the\n invoices", "status": "done"}, {"text": "Add up", "status": "doing"}, {"text": "Write", "status": "todo"}]);
    let plan = desk.ok("plan", json!({ "items": items })).await;
    assert_eq!(plan, json!({"plan": "[x] Read the invoices\n[>] Add up\n[ ] Write", "done": 1, "total": 3}));
    assert!(desk.error("plan", json!({"items": []})).await.contains("1 to 100"));
    let blank = json!({"items": [{"text": "a", "status": "todo"}, {"text": " ", "status": "todo"}]});
    assert!(desk.error("plan", blank).await.contains("items[1].text"));
}

#[tokio::test]
async fn files_are_written_listed_and_read_back() {
    let desk = Desk::new();
    assert_eq!(desk.ok("list_files", json!({})).await, json!({"path": "/workspace", "entries": []}));
    for _ in 0..2 {
        let written = desk.ok("write_file", json!({"path": "out/a.csv", "content": "n,é\n1,2\n"})).await;
        assert_eq!(written, json!({"path": "/workspace/out/a.csv", "size_bytes": 9}));
    }
    let listed = desk.ok("list_files", json!({"path": null})).await;
    assert_eq!(listed["entries"], json!([{"name": "out", "type": "dir", "size_bytes": 0}]));
    let listed = desk.ok("list_files", json!({"path": "/workspace/out"})).await;
    assert_eq!(listed["entries"], json!([{"name": "a.csv", "type": "file", "size_bytes": 9}]));
    let read = desk.ok("read_file", json!({"path": "out/a.csv"})).await;
    assert_eq!(read, json!({"path": "/workspace/out/a.csv", "content": "n,é\n1,2\n", "first_line": 1, "lines": 2}));
    let line = desk.ok("read_file", json!({"path": "out/a.csv", "offset": 1, "limit": 1})).await;
    assert_eq!((&line["content"], &line["truncated"]), (&json!("n,é\n"), &json!(true)));
}

#[tokio::test]
async fn a_wrong_call_is_told_what_was_expected() {
    let desk = Desk::new();
    let wrong = [
        ("read_file", json!({}), "missing field `path`"),
        ("read_file", json!({"path": 3}), "argument \"path\": invalid type: integer `3`, expected a string"),
        ("read_file", json!({"path": "a", "offset": 0}), "argument \"offset\""),
        ("read_file", json!({"path": "a", "offset": -1}), "argument \"offset\""),
        ("read_file", json!({"path": "a", "limit": "ten"}), "argument \"limit\""),
        ("read_file", json!({"path": "a", "encoding": "x"}), "unknown field `encoding`"),
        ("read_file", json!({"path": "../a"}), "argument \"path\": a path may not contain \"..\""),
        ("read_file", json!({"path": "/etc/passwd"}), "outside /workspace"),
        ("read_file", json!({"path": "none.csv"}), "/workspace/none.csv does not exist"),
        ("write_file", json!({"path": "a"}), "missing field `content`"),
        ("write_file", json!({"path": "a/", "content": ""}), "names a folder"),
        ("write_file", json!({"path": "a\0b", "content": ""}), "argument \"path\""),
        ("list_files", json!({"path": "gone"}), "/workspace/gone does not exist"),
        ("plan", json!({"items": [{"text": "x", "status": "later"}]}), "argument \"items[0].status\""),
        ("ask_person", json!({}), "cannot be called"),
        ("finish", json!({"result": "x"}), "cannot be called"),
        ("bash", json!({"command": "ls"}), "plan, list_files, read_file, write_file, edit_file, ask_person, finish"),
    ];
    for (name, arguments, expected) in wrong {
        let why = desk.error(name, arguments).await;
        assert!(why.starts_with(&format!("{name}: ")) && why.contains(expected), "{why}");
    }
}

#[tokio::test]
async fn an_edit_wants_exactly_one_place() {
    let desk = Desk::new();
    desk.put("a.md", b"one two two three");
    let edit = |old: &str, new: &str| json!({"path": "a.md", "old": old, "new": new});
    assert!(desk.error("edit_file", edit("four", "4")).await.contains("does not contain"));
    assert!(desk.error("edit_file", edit("two", "2")).await.contains("2 times"));
    assert!(desk.error("edit_file", edit("", "2")).await.contains("not empty"));
    assert!(desk.error("edit_file", edit("one", "one")).await.contains("not the same"));
    assert_eq!(desk.get("a.md"), "one two two three");
    assert_eq!(desk.ok("edit_file", edit("one", "1")).await, json!({"path": "/workspace/a.md", "replaced": 1}));
    let all = json!({"path": "a.md", "old": "two", "new": "", "replace_all": true});
    assert_eq!(desk.ok("edit_file", all).await["replaced"], 2);
    assert_eq!(desk.get("a.md"), "1   three");
    desk.put("b.bin", b"one\xff");
    assert!(
        desk.error("edit_file", json!({"path": "b.bin", "old": "one", "new": "1"})).await.contains("not a text file")
    );
    assert!(desk.error("edit_file", json!({"path": "c", "old": "one", "new": "1"})).await.contains("does not exist"));
}

#[tokio::test]
async fn an_edit_is_measured_before_it_is_made() {
    let desk = Desk::new();
    let before = "a".repeat(4000);
    desk.put("a.txt", before.as_bytes());
    let edit = |new: usize| json!({"path": "a.txt", "old": "a", "new": "b".repeat(new), "replace_all": true});
    let why = desk.error("edit_file", edit(4000)).await;
    assert!(why.contains("would have 16000000 bytes") && why.contains("at most 10485760"), "{why}");
    assert_eq!(desk.get("a.txt"), before);
    assert_eq!(desk.ok("edit_file", edit(2000)).await["replaced"], 4000);
    assert_eq!(desk.get("a.txt").len(), 8_000_000);
}

#[tokio::test]
async fn pictures_are_known_by_their_bytes() {
    let desk = Desk::new();
    let pictures: [(&[u8], &str); 4] = [
        (b"\x89PNG\r\n\x1a\nrest", "image/png"),
        (b"\xff\xd8\xff\xe0rest", "image/jpeg"),
        (b"GIF89arest", "image/gif"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp"),
    ];
    for (bytes, media_type) in pictures {
        desk.put("named.txt", bytes);
        let Outcome::Image(image) = desk.call("read_file", json!({"path": "named.txt"})).await else {
            panic!("{media_type}")
        };
        assert_eq!((image.media_type.as_str(), image.path.as_str()), (media_type, "/workspace/named.txt"));
        assert_eq!(agent::models::Pictures::load(&desk.workspace, &image).await.unwrap(), bytes);
    }
    let mut large = pictures[0].0.to_vec();
    large.resize(5 * 1024 * 1024 + 1, 0);
    desk.put("large.png", &large);
    assert!(desk.error("read_file", json!({"path": "large.png"})).await.contains("a picture of 5242881 bytes"));
}

#[tokio::test]
async fn other_data_is_refused_with_its_kind_and_size() {
    let desk = Desk::new();
    let kinds: [(&[u8], &str); 5] = [
        (b"PK\x03\x04\0\0", "a ZIP archive"),
        (b"\x7fELF\x02\0", "a program"),
        (b"\xff\xfea\0", "UTF-16"),
        (b"Stra\xdfe", "not in UTF-8"),
        (b"ab\0cd", "binary data (5 bytes)"),
    ];
    for (bytes, kind) in kinds {
        desk.put("f.csv", bytes);
        let why = desk.error("read_file", json!({"path": "f.csv"})).await;
        assert!(why.contains(kind) && why.contains(&format!("({} bytes)", bytes.len())), "{why}");
    }
}

#[tokio::test]
async fn a_program_that_is_no_pdf_reader_does_no_harm() {
    let desk = Desk::new();
    desk.put("a.pdf", b"%PDF-1.4\n");
    assert!(desk.error("read_file", json!({"path": "a.pdf"})).await.contains("/workspace/a.pdf is a PDF, but"));
}

#[test]
fn every_schema_is_closed_and_every_tool_says_what_a_crash_means() {
    for json_object in [false, true] {
        for spec in specs(json_object) {
            assert_eq!(spec.parameters["additionalProperties"], false, "{}", spec.name);
            assert_eq!(spec.parameters["type"], "object", "{}", spec.name);
            assert!(spec.description.len() > 80, "{}", spec.name);
            let expected = if spec.name == "edit_file" { Replay::Never } else { Replay::Safe };
            assert_eq!(replay(&spec.name), expected, "{}", spec.name);
        }
    }
    assert_eq!(replay("mcp__mail__send"), Replay::Never);
    let result = |json_object| {
        specs(json_object).iter().find(|spec| spec.name == "finish").unwrap().parameters["properties"]["result"]["type"]
            .clone()
    };
    assert_eq!((result(false), result(true)), (json!("string"), json!("object")));
}

#[test]
fn the_schema_of_ask_person_is_what_the_domain_reads() {
    let spec = specs(false).iter().find(|spec| spec.name == domain::human_requests::ASK_PERSON).unwrap();
    let everything = json!({"kind": "question", "title": "t", "description": "d", "questions": [
        {"question": "q", "header": "h", "options": [{"label": "l", "description": "d"}], "multi_select": true}]});
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&spec.parameters["properties"]), names(&everything));
    let question = &spec.parameters["properties"]["questions"]["items"];
    assert_eq!(names(&question["properties"]), names(&everything["questions"][0]));
    let Value::Object(arguments) = everything else { panic!("an object") };
    let call = ToolCall {
        id: "c".into(),
        key: Uuid::nil(),
        name: spec.name.clone().into(),
        arguments,
        replay: Replay::Safe,
        target: None,
    };
    assert_eq!(domain::human_requests::HumanRequest::from_call(&call).unwrap().questions.len(), 1);
}

#[test]
fn the_guide_names_only_tools_that_exist() {
    for json_object in [false, true] {
        let guide = guide(json_object);
        assert!(guide.lines().count() <= 25);
        assert_eq!(guide.contains("exactly one JSON object"), json_object);
        for name in guide.split('`').skip(1).step_by(2) {
            assert!(specs(json_object).iter().any(|spec| spec.name == name), "{name}");
        }
    }
}
