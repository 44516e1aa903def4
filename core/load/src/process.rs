//! What the kernel knows about the server's process: who holds the port, its memory, its CPU time. Only for a server
//! on this machine.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::Path,
    time::Duration,
};

use crate::{LoadError, target::Target};

/// Clock ticks per second in `/proc`: 100 on every Linux, whatever the kernel's own clock.
const TICKS: u64 = 100;
/// A listening socket in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// The server's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Server {
    /// Its id.
    pub(crate) pid: u32,
}

/// What was read at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Resident memory in bytes.
    pub(crate) rss: u64,
    /// The most resident memory since the start, or since [`Server::forget_peak`].
    pub(crate) peak: u64,
    /// CPU time in user and kernel mode, of all threads.
    pub(crate) cpu: Duration,
}

impl Server {
    /// The process that holds the target's port; none when it is out of our sight.
    ///
    /// # Errors
    /// When another process was expected than the one that is found.
    pub(crate) fn find(target: &Target) -> Result<Option<Self>, LoadError> {
        let found = if target.addr.ip().is_loopback() { listener(target.addr) } else { None };
        match (target.common.expect_pid, found) {
            (Some(expected), Some(found)) if expected == found => {}
            (Some(expected), found) => {
                let found =
                    found.map_or("nobody that can be seen".to_owned(), |pid| format!("process {pid}"));
                return Err(LoadError::WrongServer(format!(
                    "{} is held by {found}, not by process {expected}",
                    target.addr
                )));
            }
            (None, _) => {}
        }
        Ok(found.map(|pid| Self { pid }))
    }

    /// Memory and CPU time now.
    pub(crate) fn sample(self) -> Result<Sample, LoadError> {
        let read = |file: &str| {
            fs::read_to_string(format!("/proc/{}/{file}", self.pid))
                .map_err(|error| LoadError::Failed(format!("process {}: {error}", self.pid)))
        };
        let odd = || LoadError::Failed(format!("process {} has unreadable figures", self.pid));
        let status = read("status")?;
        let rss = kilobytes(&status, "VmRSS:").ok_or_else(odd)?;
        let peak = kilobytes(&status, "VmHWM:").ok_or_else(odd)?;
        let cpu = cpu_time(&read("stat")?).ok_or_else(odd)?;
        Ok(Sample { rss, peak, cpu })
    }

    /// Lets [`Sample::peak`] begin anew, so that it is the peak of what comes now.
    pub(crate) fn forget_peak(self) -> Result<(), LoadError> {
        const RESET_PEAK: &str = "5"; // proc(5), clear_refs
        fs::write(format!("/proc/{}/clear_refs", self.pid), RESET_PEAK).map_err(|error| {
            LoadError::Failed(format!("process {}: the peak of its memory: {error}", self.pid))
        })
    }
}

fn kilobytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

fn cpu_time(stat: &str) -> Option<Duration> {
    // The name, in parentheses, may hold anything; what follows the last one is numbers. User and system time are
    // the 14th and 15th field, the 12th and 13th after the name.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * (1000 / TICKS)))
}

/// The process that listens at an address of this machine.
fn listener(addr: SocketAddr) -> Option<u32> {
    let table = if addr.is_ipv4() { "/proc/net/tcp" } else { "/proc/net/tcp6" };
    let table = fs::read_to_string(table).ok()?;
    let inode = table.lines().find_map(|line| listening_inode(line, addr))?;
    let socket = format!("socket:[{inode}]");
    let mut processes = fs::read_dir("/proc").ok()?.flatten();
    processes.find_map(|process| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        holds(&process.path().join("fd"), &socket).then_some(pid)
    })
}

/// The inode of a line of `/proc/net/tcp`, when it listens at that address or at all.
fn listening_inode(line: &str, addr: SocketAddr) -> Option<&str> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let (ip, port) = fields.get(1)?.rsplit_once(':')?;
    let here = u16::from_str_radix(port, 16).ok()? == addr.port() && fields.get(3) == Some(&LISTENING);
    let same = match addr.ip() {
        IpAddr::V4(v4) => u32::from_str_radix(ip, 16).is_ok_and(|ip| {
            let ip = ip.to_ne_bytes(); // the kernel prints the number as it lies in memory
            ip == v4.octets() || ip == [0; 4]
        }),
        IpAddr::V6(_) => true,
    };
    if here && same { fields.get(9).copied() } else { None }
}

fn holds(folder: &Path, socket: &str) -> bool {
    let Ok(files) = fs::read_dir(folder) else { return false };
    files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|link| link.as_os_str() == socket))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn figures_are_read_from_the_kernel_s_text() {
        let status = "Name:\tx\nVmHWM:\t    4096 kB\nVmRSS:\t    2048 kB\nThreads:\t1\n";
        assert_eq!(kilobytes(status, "VmRSS:"), Some(2048 * 1024));
        assert_eq!(kilobytes(status, "VmHWM:"), Some(4096 * 1024));
        assert_eq!(kilobytes("VmRSS: many", "VmRSS:"), None);
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 3 0 100 1000 200";
        assert_eq!(cpu_time(stat), Some(Duration::from_secs(2)));
        assert_eq!(cpu_time("nonsense"), None);
    }

    #[test]
    fn listener_is_found_by_its_port() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = socket.local_addr().unwrap();
        assert_eq!(listener(addr), Some(std::process::id()));
        drop(socket);
        assert_eq!(listener(addr), None);
    }

    #[test]
    fn own_figures_are_sane() {
        let sample = Server { pid: std::process::id() }.sample().unwrap();
        assert!(sample.rss > 100_000, "{sample:?}");
    }
}
