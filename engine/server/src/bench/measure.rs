//! Clocks and gauges of the benches: CPU time of a thread or a process, memory, the disk's own speed.

use std::{
    fs::{self, File},
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

use super::child::Cores;

/// CPU time of this thread.
#[derive(Clone, Copy)]
pub(super) struct Cpu(Duration);

impl Cpu {
    pub(super) fn now() -> Self {
        Self(read(ClockId::ThreadCPUTime))
    }

    pub(super) fn elapsed(self) -> Duration {
        Self::now().0.saturating_sub(self.0)
    }
}

/// CPU time of this process.
pub(super) fn process_cpu() -> Duration {
    read(ClockId::ProcessCPUTime)
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The unit of times in /proc: part of Linux's interface, the same on all machines that we build for.
const USER_HZ: u64 = 100;

/// CPU time, user and system, of another process.
pub(super) fn cpu_of(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold spaces: fields are counted behind it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 1_000 / USER_HZ))
}

/// Memory of this process that is in RAM.
pub(super) fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// The most memory that another process ever had in RAM.
pub(super) fn peak_bytes_of(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// Median time of a byte to a thread on the server's core and back, each time after a pause: what the machine itself takes
/// to wake two idle cores.
pub(super) fn wake_p50(cores: &Cores, pause: Duration) -> anyhow::Result<Duration> {
    const ROUNDS: usize = 200;
    let (mut near, mut far) = UnixStream::pair()?;
    let echo = cores.as_server(|| {
        thread::spawn(move || {
            let mut byte = [0];
            while far.read_exact(&mut byte).and_then(|()| far.write_all(&byte)).is_ok() {}
        })
    })?;
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        thread::sleep(pause);
        let start = Instant::now();
        near.write_all(&[1])?;
        near.read_exact(&mut [0])?;
        times.push(start.elapsed());
    }
    drop(near);
    echo.join().expect("the echo does not panic");
    times.sort();
    Ok(times[ROUNDS / 2])
}

/// Median time of an append of 4 KiB with fdatasync in this folder.
pub(super) fn fdatasync_p50(folder: &Path) -> std::io::Result<Duration> {
    const ROUNDS: usize = 200;
    let path = folder.join("fdatasync-yardstick");
    let mut file = File::create(&path)?;
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    fs::remove_file(path)?;
    times.sort();
    Ok(times[ROUNDS / 2])
}
