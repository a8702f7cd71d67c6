//! What the machine is and what it spends: cores, CPU time, memory, the price of a sync to disk.
//! Reads /proc; changes nothing but which core this process runs on.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

use crate::audit::percentile;

/// How many syncs to disk are timed.
const SYNC_PROBES: usize = 50;
/// Bytes written before each of them: a page of SQLite's log.
const SYNC_BYTES: usize = 4096;

/// Which core the servers get and which the load generator.
#[derive(Debug, Clone, Copy)]
pub struct Cores {
    pub server: usize,
    pub generator: usize,
}

/// Binds this thread, and the processes it starts from now on, to one core.
pub fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set)
        .with_context(|| format!("cannot run on core {core}; choose others with --cores"))
}

/// Lets this process and the servers have as many sockets as the system allows, at least `needed`.
pub fn allow_sockets(needed: u64) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    if most < needed {
        bail!(
            "{needed} open files are needed, the limit is {most}: raise it with `ulimit -Hn {needed}`"
        );
    }
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).context("cannot raise the limit of open files")
}

/// CPU time of this process.
pub fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// CPU time of another process, to 10 ms.
pub fn cpu_of(process: u32) -> Result<Duration> {
    let path = format!("/proc/{process}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    // Fields are counted after the command, which is in parentheses and may have spaces.
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or("")
        .split_whitespace()
        .collect();
    let ticks = |index: usize| {
        fields
            .get(index)
            .and_then(|field| field.parse::<u64>().ok())
    };
    let (Some(user), Some(system)) = (ticks(11), ticks(12)) else {
        bail!("cannot understand {path}: {stat}");
    };
    Ok(from_ticks(user + system))
}

fn from_ticks(ticks: u64) -> Duration {
    let per_second = rustix::param::clock_ticks_per_second();
    Duration::from_secs_f64(ticks as f64 / per_second as f64)
}

/// Time that the cores did anything for anybody, added up, to 10 ms. Stolen time counts: it was not ours.
pub fn busy(cores: Cores) -> Result<Duration> {
    let stat = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    let mut ticks = 0;
    for core in [cores.server, cores.generator] {
        let name = format!("cpu{core} ");
        let line = stat.lines().find_map(|line| line.strip_prefix(&name));
        let line = line.with_context(|| format!("/proc/stat has no {name}"))?;
        let times: Vec<u64> = line
            .split_whitespace()
            .map_while(|time| time.parse().ok())
            .collect();
        // user, nice, system, then idle and waiting for a disk, then interrupts and stolen time.
        ticks += times.iter().take(3).sum::<u64>() + times.iter().skip(5).take(3).sum::<u64>();
    }
    Ok(from_ticks(ticks))
}

/// Memory of a process in bytes: its own pages and its part of shared ones (PSS).
pub fn memory_of(process: u32) -> Result<u64> {
    let path = format!("/proc/{process}/smaps_rollup");
    let rollup = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let kilobytes = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Pss:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse::<u64>().ok())
        .with_context(|| format!("no Pss in {path}"))?;
    Ok(kilobytes * 1024)
}

/// The median time of one fdatasync of a freshly appended page in `folder`.
pub fn sync_time(folder: &Path) -> Result<Duration> {
    let path = folder.join("sync-probe");
    let mut file =
        File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut times = Vec::with_capacity(SYNC_PROBES);
    for _ in 0..SYNC_PROBES {
        file.write_all(&[0; SYNC_BYTES])?;
        let begin = Instant::now();
        file.sync_data()?;
        times.push(begin.elapsed().as_secs_f64());
    }
    fs::remove_file(&path)?;
    Ok(Duration::from_secs_f64(percentile(&mut times, 0.5)))
}

/// One line: processor, cores, memory, kernel.
pub fn describe() -> String {
    let value_of = |path: &str, key: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text
            .lines()
            .find(|line| line.starts_with(key))
            .unwrap_or_default();
        line.split_once(':')
            .map_or("unknown".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{}, {cores} cores, {} of memory, Linux {}",
        value_of("/proc/cpuinfo", "model name"),
        value_of("/proc/meminfo", "MemTotal"),
        kernel.trim(),
    )
}
