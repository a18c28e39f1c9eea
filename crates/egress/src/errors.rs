//! Why nothing came back, or not all of it: for the user a fixed code and few words, for the operator the exact reason.
//!
//! [`Error::code`] and [`Error::for_user`] are for whoever gave the URL. They are the same for an address that is blocked and one that does not
//! answer, and both take the same time, or our server would be a way to look around in its network. `Display` is for the log; it names the
//! host and never the path or the query, which may hold a secret.

use std::net::SocketAddr;
use std::time::Duration;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL itself is refused, before any name is resolved. Its words are about what the user wrote.
    #[error("the URL is refused: {0}")]
    Url(#[from] UrlFlaw),
    /// A header is refused.
    #[error(transparent)]
    Header(#[from] HeaderFlaw),
    /// There is no connection: the address is not allowed or cannot be reached.
    #[error("{place}: {why}")]
    Blocked {
        /// Host and port.
        place: String,
        /// Which of the two, and how.
        why: Blocked,
    },
    /// The other side cannot prove who it is, or does not speak TLS.
    #[error("{place}: TLS: {why}")]
    Tls {
        /// Host and port.
        place: String,
        /// What the library says.
        why: String,
    },
    /// The connection broke, or what came is no HTTP.
    #[error("{place}: {why}")]
    Broken {
        /// Host and port.
        place: String,
        /// What the library says.
        why: String,
    },
    /// The answer is larger than the request allows.
    #[error("{place}: the answer has more than {most} bytes")]
    TooLarge {
        /// Host and port.
        place: String,
        /// What the request allows, in bytes.
        most: u64,
    },
    /// The request's time is over.
    #[error("{place}: no end after {total:?}")]
    TimedOut {
        /// Host and port.
        place: String,
        /// What the request allows.
        total: Duration,
    },
    /// A redirect that is not followed.
    #[error("{place}: redirect: {why}")]
    Redirect {
        /// Host and port of whoever redirected.
        place: String,
        /// Why it is not.
        why: String,
    },
}

impl Error {
    /// The code for users. Codes are never changed.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Url(_) => "invalid_url",
            Self::Header(_) => "invalid_header",
            Self::Blocked { .. } => "blocked_address",
            Self::Tls { .. } => "tls_failed",
            Self::Broken { .. } => "no_answer",
            Self::TooLarge { .. } => "answer_too_large",
            Self::TimedOut { .. } => "timed_out",
            Self::Redirect { .. } => "redirect_refused",
        }
    }

    /// The words for users: of what they wrote in full, of the network only what [`Error::code`] tells.
    pub fn for_user(&self) -> String {
        let fixed = match self {
            Self::Url(flaw) => return flaw.to_string(),
            Self::Header(flaw) => return flaw.to_string(),
            Self::Blocked { .. } => "the address is blocked or cannot be reached",
            Self::Tls { .. } => "no secure connection: the server's certificate is not valid, or it does not speak TLS",
            Self::Broken { .. } => "the server did not give a whole HTTP answer",
            Self::TooLarge { .. } => "the server's answer is too large",
            Self::TimedOut { .. } => "the server took too long to answer",
            Self::Redirect { .. } => "the server redirects to where it may not, or too often",
        };
        fixed.to_owned()
    }
}

/// What is wrong with a URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlFlaw {
    /// It cannot be read as one.
    #[error("it is no URL: {0}")]
    NoUrl(String),
    /// Readers of URLs do not agree on what these mean.
    #[error("it has a space, a control character or a backslash in it")]
    Character,
    /// Longer than anybody needs.
    #[error("it has more than {0} bytes")]
    TooLong(usize),
    /// Another scheme than `https`, or than `http` to what the operator opened.
    #[error("only https is allowed")]
    Scheme,
    /// A name or password in the URL.
    #[error("it has a user name or a password in it; send them in a header")]
    UserInfo,
    /// A host name with something in it that names do not have.
    #[error("its host is no plain name: letters, digits and hyphens between dots, and no dot at the end")]
    Name,
    /// A name for the server's own machine.
    #[error("its host is a name of this machine")]
    Localhost,
    /// A port that is neither usual nor opened.
    #[error("port {0} is not allowed; 443, 80 and 8443 are")]
    Port(u16),
}

/// What is wrong with a header. Never shows its value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("header {name:?}: {why}")]
pub struct HeaderFlaw {
    /// As it was written.
    pub name: String,
    /// What is wrong.
    pub why: &'static str,
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Blocked {
    /// The name was not resolved. A resolver that fails allows nothing.
    #[error("the name was not resolved: {0}")]
    Resolver(String),
    /// The resolver gave no address.
    #[error("the name has no address")]
    NoAddress,
    /// One of the addresses is not public.
    #[error("{0} is not public ({1}), and nobody opened it")]
    NotPublic(SocketAddr, &'static str),
    /// An address in the place of a name.
    #[error("{0} is an address instead of a name, and nobody opened it")]
    Literal(SocketAddr),
    /// `http` to what is not opened.
    #[error("{0} was asked for by http, and nobody opened it")]
    PlainHttp(SocketAddr),
    /// A port that is opened for other addresses only.
    #[error("the port of {0} is not allowed, and nobody opened it")]
    Port(SocketAddr),
    /// This server, or what only it may reach.
    #[error("{0} is this server's own")]
    Own(SocketAddr),
    /// An address of the machine that we run on.
    #[error("{0} is an address of this very machine, and nobody opened it")]
    ThisMachine(SocketAddr),
    /// The connection leads elsewhere than it was told to.
    #[error("{0} was dialled, and {1} answered")]
    Elsewhere(SocketAddr, SocketAddr),
    /// Nobody answered. Each address that was tried, and how it failed.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
}
