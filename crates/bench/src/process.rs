//! What Linux says of a process: its CPU time and its memory.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;

/// The length of a tick in `/proc/PID/stat`: a hundredth of a second wherever Linux runs.
const TICK: Duration = Duration::from_millis(10);

/// Memory in KiB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Resident now.
    pub(crate) now: u32,
    /// The most that was ever resident.
    pub(crate) peak: u32,
}

/// User and system time of all threads of a process, those that have ended too.
pub(crate) fn cpu(pid: u32) -> anyhow::Result<Duration> {
    ticks(&fs::read_to_string(format!("/proc/{pid}/stat"))?).map(|ticks| TICK * ticks)
}

/// The same of a process and of all that it started itself, those that have ended and were waited for too.
pub(crate) fn family_cpu(pid: u32) -> anyhow::Result<Duration> {
    let own = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let mut all = ticks(&own)? + waited_for(&own)?;
    for process in fs::read_dir("/proc")? {
        // Whatever is no process has none of this, and one that ends meanwhile is a few ticks lost.
        if let Ok(stat) = fs::read_to_string(process?.path().join("stat"))
            && parent(&stat) == Some(pid)
        {
            all += ticks(&stat)?;
        }
    }
    Ok(TICK * all)
}

/// Resident memory of a process.
pub(crate) fn memory(pid: u32) -> anyhow::Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    Ok(Memory { now: kib(&status, "VmRSS:")?, peak: kib(&status, "VmHWM:")? })
}

/// utime and stime: the 14th and 15th value.
fn ticks(stat: &str) -> anyhow::Result<u32> {
    Ok(value(stat, 14)? + value(stat, 15)?)
}

/// cutime and cstime: the same of children that have ended.
fn waited_for(stat: &str) -> anyhow::Result<u32> {
    Ok(value(stat, 16)? + value(stat, 17)?)
}

fn parent(stat: &str) -> Option<u32> {
    value(stat, 4).ok()
}

/// A value by its place, counted from the third, which comes after the name: that may hold blanks.
fn value(stat: &str, place: usize) -> anyhow::Result<u32> {
    let (_, values) = stat.rsplit_once(')').context("no name in stat")?;
    let value = values.split_whitespace().nth(place - 3).with_context(|| format!("no value {place} in stat"))?;
    Ok(value.parse()?)
}

fn kib(status: &str, name: &str) -> anyhow::Result<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
    Ok(line.trim().trim_end_matches("kB").trim_end().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_two_times_whatever_the_name() {
        let stat = "77 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 4 3 20 0";
        assert_eq!(ticks(stat).unwrap(), 300);
        assert_eq!((waited_for(stat).unwrap(), parent(stat)), (7, Some(1)));
    }

    #[test]
    fn reads_kibibytes() {
        assert_eq!(kib("VmPeak:\t   9 kB\nVmRSS:\t    1234 kB\n", "VmRSS:").unwrap(), 1234);
        assert!(kib("", "VmRSS:").is_err());
    }
}
