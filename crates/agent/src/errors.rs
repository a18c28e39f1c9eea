//! What errors of libraries say.

/// The innermost reason, such as a certificate that nobody vouches for: what lies around it says which request failed.
pub(crate) fn root(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), root)
}
