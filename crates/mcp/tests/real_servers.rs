//! The client against servers of others: those that npm has, over all three transports. `./test` installs them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use egress::{Allow, Client, Policy};
use mcp::results::Part;
use mcp::{Known, Place, Servers, Session};
use serde_json::{Map, Value, json};
use testkit::npm;

const TIME: Duration = Duration::from_secs(20);

/// How Node is told to run a server.
fn server(name: &str) -> Vec<String> {
    [npm::node(), npm::program(name).unwrap()].map(|path| path.to_str().unwrap().to_owned()).into()
}

fn servers(own: &[(&str, Vec<String>)]) -> Servers {
    let allow: Allow = "127.0.0.0/8".parse().unwrap();
    let own =
        own.iter().map(|(name, command)| ((*name).to_owned(), Known { command: command.clone(), ..Known::default() }));
    Servers::new(Client::new(Policy::new(allow)).unwrap(), own.collect(), TIME)
}

fn place(url: &str) -> Place {
    Place { url: url.to_owned(), headers: vec![] }
}

/// A server that listens on a port, until it is dropped.
struct Listening(Child, u16);

impl Listening {
    fn everything(transport: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let started = server("server-everything");
        let mut command = Command::new(&started[0]);
        command.args([&started[1], transport]).env("PORT", port.to_string());
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        let ready = said.find(|line| line.as_ref().is_ok_and(|line| line.contains("port")));
        assert!(ready.is_some(), "it did not start");
        std::thread::spawn(move || said.for_each(drop));
        Self(child, port)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else { panic!("an object") };
    map
}

/// What `server-everything` does, whatever it is reached by.
async fn does_everything(session: &Session) {
    let offer = session.tools().await.unwrap();
    assert_eq!(offer.refused, Vec::<String>::new());
    let echo = offer.tools.iter().find(|tool| tool.name == "echo").unwrap();
    assert_eq!(
        echo.hash(),
        session.tools().await.unwrap().tools.iter().find(|tool| tool.name == "echo").unwrap().hash()
    );
    let said = session.call("echo", &object(json!({"message": "Grüße 🦀"})), TIME).await.unwrap();
    assert_eq!((said.parts, said.failed), (vec![Part::Text("Echo: Grüße 🦀".into())], false));
    let image = session.call("get-tiny-image", &Map::new(), TIME).await.unwrap();
    let pictures: Vec<_> = image.parts.iter().filter(|part| matches!(part, Part::Bytes { media_type, bytes, .. } if media_type == "image/png" && bytes.starts_with(b"\x89PNG"))).collect();
    assert_eq!(pictures.len(), 1, "{image:?}");
    let structured =
        session.call("get-structured-content", &object(json!({"location": "Chicago"})), TIME).await.unwrap();
    assert!(structured.structured.unwrap()["temperature"].is_number());
    let wrong = session.call("echo", &Map::new(), TIME).await;
    assert!(wrong.as_ref().map_or_else(|failure| failure.known, |results| results.failed), "{wrong:?}");
    let unknown = session.call("no-such-tool", &Map::new(), TIME).await;
    assert!(unknown.as_ref().map_or_else(|failure| failure.known, |results| results.failed), "{unknown:?}");
    // Slower than anybody waits for, and the session is still good for the next call.
    let slow = object(json!({"duration": 30, "steps": 3}));
    let late = session.call("trigger-long-running-operation", &slow, Duration::from_millis(300)).await.unwrap_err();
    assert_eq!((late.code, late.known), ("mcp_timed_out", false));
    assert!(session.call("echo", &object(json!({"message": "a"})), TIME).await.is_ok());
}

#[tokio::test]
async fn over_streamable_http() {
    let listening = Listening::everything("streamableHttp");
    let session = servers(&[]).open(&place(&format!("http://127.0.0.1:{}/mcp", listening.1))).await.unwrap();
    does_everything(&session).await;
}

#[tokio::test]
async fn over_the_older_sse() {
    let listening = Listening::everything("sse");
    let session = servers(&[]).open(&place(&format!("http://127.0.0.1:{}/sse", listening.1))).await.unwrap();
    does_everything(&session).await;
}

#[tokio::test]
async fn over_standard_input_and_output() {
    let servers = servers(&[("everything", server("server-everything"))]);
    let session = servers.open(&place("errand://mcp/everything")).await.unwrap();
    does_everything(&session).await;
}

#[tokio::test]
async fn a_server_of_files_and_one_of_memory() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap().to_str().unwrap().to_owned();
    let servers = servers(&[
        ("files", [server("server-filesystem"), vec![root.clone()]].concat()),
        (
            "memory",
            [vec!["env".into(), format!("MEMORY_FILE_PATH={root}/memory.json")], server("server-memory")].concat(),
        ),
    ]);
    let files = servers.open(&place("errand://mcp/files")).await.unwrap();
    let write = object(json!({"path": format!("{root}/a.txt"), "content": "hello"}));
    assert!(!files.call("write_file", &write, TIME).await.unwrap().failed);
    assert_eq!(std::fs::read_to_string(folder.path().join("a.txt")).unwrap(), "hello");
    let outside = files.call("read_text_file", &object(json!({"path": "/etc/passwd"})), TIME).await.unwrap();
    assert!(outside.failed, "what a tool itself says is wrong is told as that");
    let memory = servers.open(&place("errand://mcp/memory")).await.unwrap();
    let entity =
        json!({"entities": [{"name": "Ada", "entityType": "person", "observations": ["wrote the first program"]}]});
    assert!(!memory.call("create_entities", &object(entity), TIME).await.unwrap().failed);
    drop(memory);
    // Another session, another process, the same memory.
    let memory = servers.open(&place("errand://mcp/memory")).await.unwrap();
    let read = memory.call("read_graph", &Map::new(), TIME).await.unwrap();
    assert!(format!("{read:?}").contains("the first program"));
}

#[tokio::test]
async fn a_session_takes_its_program_and_its_children_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let script = format!("sleep 1000 & echo $! >{}; exec {}", pid.display(), server("server-memory").join(" "));
    let servers = servers(&[("shell", vec!["sh".into(), "-c".into(), script])]);
    let session = servers.open(&place("errand://mcp/shell")).await.unwrap();
    let child = std::fs::read_to_string(pid).unwrap();
    let lives =
        || std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).is_ok_and(|stat| !stat.contains(") Z "));
    assert!(lives());
    drop(session);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!lives());
}

#[tokio::test]
async fn what_cannot_be_reached_says_so_and_is_surely_not_touched() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = nobody.local_addr().unwrap().port();
    drop(nobody);
    let servers = servers(&[("broken", vec!["/no/such/program".into()]), ("silent", vec!["true".into()])]);
    for (url, code) in [
        (format!("http://127.0.0.1:{port}/mcp"), "blocked_address"),
        ("https://10.0.0.1/mcp".to_owned(), "blocked_address"),
        ("https://localhost/mcp".to_owned(), "invalid_url"),
        ("no url".to_owned(), "invalid_url"),
        ("errand://mcp/none".to_owned(), "mcp_unknown"),
        ("errand://mcp/broken".to_owned(), "mcp_not_started"),
        ("errand://mcp/silent".to_owned(), "mcp_closed"),
    ] {
        let failure = servers.open(&place(&url)).await.err().expect("it does not open");
        assert_eq!((failure.code, failure.known), (code, true), "{url}: {failure}");
    }
}
