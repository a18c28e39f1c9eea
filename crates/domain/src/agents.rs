//! Assignments (API name: agent): a name and, through its Builds, everything that is executed.

use crate::{AgentId, TeamId, Timestamp};

/// The longest name of an Assignment or a Build, in characters (contract A23 asks for a cap far above what people use).
pub const NAME_MAX: usize = 1_000;

/// One Assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// The team it belongs to.
    pub team: TeamId,
    /// As it was given: not trimmed, not unique.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it or its newest Build was created, whichever is later.
    pub updated_at: Timestamp,
}
