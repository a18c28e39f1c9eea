//! Which ids spans have, where they are not drawn, and which runs are traced: made of the run's id alone, so that every node comes to the same.

use opentelemetry::trace::{Link, SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The span of the request that made the run.
pub(super) fn root(run: Uuid) -> SpanId {
    invocation(run, 0)
}

/// The span of a round, which its model calls and tool calls hang from. The rounds count from 1.
pub(super) fn invocation(run: Uuid, round: u64) -> SpanId {
    let hash = Sha256::new().chain_update(run.as_bytes()).chain_update(round.to_be_bytes()).finalize();
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hash[..8]);
    SpanId::from_bytes(bytes)
}

/// Whether the run's trace is one of the share that is wanted, by the last 56 bits of its id, as OpenTelemetry has it: all nodes decide the same.
pub(super) fn is_sampled(run: Uuid, ratio: f64) -> bool {
    const ALL: u64 = 1 << 56;
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share from 0 to 1 of 2^56, which a float has exactly"
    )]
    let left_out = ((1.0 - ratio) * ALL as f64) as u64;
    run.as_u64_pair().1 % ALL >= left_out
}

/// What the header `traceparent` of a request names: its caller's trace stays the caller's, and is linked to.
pub(super) fn caller(header: &str) -> Option<Link> {
    let mut parts = header.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let whole = hex(version, 2) && hex(trace, 32) && hex(span, 16) && hex(flags, 2) && version != "ff";
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
    let context = SpanContext::new(trace, span, flags, true, TraceState::NONE);
    (whole && context.is_valid()).then(|| Link::with_context(context))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_that_others_hang_from_have_the_same_id_everywhere() {
        let run = Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_0001);
        let ids = [root(run), invocation(run, 1), invocation(run, 2), root(Uuid::from_u128(1))];
        assert_eq!(
            ids.map(|id| id.to_string()),
            ["142c9acafa709383", "bd54bf00b6bce699", "70e37b7da799bc40", "71faa70e1da00be5"]
        );
    }

    #[test]
    fn a_share_of_runs_is_traced_and_every_node_picks_the_same() {
        let run = |last: u64| Uuid::from_u64_pair(0x0198_c0de_0000_7000, 0x8000_0000_0000_0000 | last);
        let (low, high) = (run(1), run((1 << 56) - 1));
        assert!(is_sampled(run(0), 1.0) && is_sampled(low, 1.0) && is_sampled(high, 1.0));
        assert!(!is_sampled(low, 0.0) && !is_sampled(high, 0.0));
        assert!(!is_sampled(low, 0.5) && is_sampled(high, 0.5));
        let traced = (0..1_024_u64).filter(|n| is_sampled(run((n << 46) + 5), 0.25)).count();
        assert_eq!(traced, 256, "a quarter");
    }

    #[test]
    fn a_callers_trace_is_linked_to_if_it_is_one() {
        let link = caller("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        assert_eq!(link.span_context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(link.span_context.span_id().to_string(), "00f067aa0ba902b7");
        for none in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
        ] {
            assert!(caller(none).is_none(), "{none}");
        }
    }
}
