//! What a seed decides before its time begins: how the nodes are set, how long the storm lasts, which clocks are wrong.

use domain::limits::Limits;
use engine::Settings;

use crate::chance::Chance;

/// Nodes of every simulation.
pub(crate) const NODES: usize = 3;

pub(crate) struct Plan {
    pub(crate) settings: Settings,
    pub(crate) limits: Limits,
    /// How far each node's clock is from the database's, in milliseconds.
    pub(crate) skews: [i64; NODES],
    /// Runs that are started.
    pub(crate) runs: u64,
    pub(crate) teams: usize,
    /// How long faults happen, in milliseconds.
    pub(crate) storm_ms: u64,
    /// The longest pause between two faults, in milliseconds.
    pub(crate) calm_ms: u64,
    /// The longest that a model or a tool usually takes, in milliseconds.
    pub(crate) slowest_ms: u64,
}

impl Plan {
    pub(crate) fn draw(chance: &Chance) -> Self {
        let agree = chance.one_in(3);
        let skew = || {
            let far = i64::try_from(chance.below(1_200_001)).unwrap() - 600_000;
            if agree { 0 } else { chance.pick(&[0, 600_000, -600_000, far, far]) }
        };
        let skews = std::array::from_fn(|_| skew());
        let usual = Limits::default();
        let limits = Limits {
            turns: u32::try_from(chance.between(5, 9)).unwrap(),
            tool_calls: chance.pick(&[6, 10, usual.tool_calls]),
            wall_ms: if agree { chance.pick(&[20_000, 120_000, usual.wall_ms]) } else { 20 * usual.wall_ms },
            tool_ms: chance.pick(&[2_000, 15_000, 60_000]),
            model_tries: u32::try_from(chance.between(2, 8)).unwrap(),
            ..usual
        };
        let settings = Settings {
            concurrency: chance.pick(&[1, 2, 4, 1_000, 1_000]),
            team_concurrency: chance.pick(&[0, 0, 1, 3]),
            lease_ms: chance.pick(&[3_000, 10_000, 30_000]),
            deaths: chance.pick(&[1, 3, 3, 1_000]),
        };
        Self {
            settings,
            limits,
            skews,
            runs: chance.between(4, 10),
            teams: chance.index(3) + 1,
            storm_ms: chance.between(30_000, 150_000),
            calm_ms: chance.pick(&[2_000, 6_000, 20_000]),
            slowest_ms: chance.pick(&[300, 3_000, 15_000]),
        }
    }
}
