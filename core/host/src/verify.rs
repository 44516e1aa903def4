//! From a file name to verified bytes: who owns the file, who may write it, what it weighs, what it is. The bytes
//! are read once and what is loaded later is a private copy of exactly these bytes, so nothing can be swapped
//! between the check and the use.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::{LoadError, elf};

/// The largest plugin file.
const LIMIT: u64 = 256 << 20;

/// A plugin file that has passed every check that needs no loading.
#[derive(Debug)]
pub(crate) struct Verified {
    /// Where it came from, for messages.
    pub(crate) path: PathBuf,
    /// What was read.
    pub(crate) bytes: Vec<u8>,
    /// Their SHA-256 in hexadecimal digits.
    pub(crate) sha256: String,
}

/// Reads and checks `library` in `dir`.
pub(crate) fn read(dir: &Path, library: &str, sha256: Option<&str>) -> Result<Verified, LoadError> {
    if library.is_empty() || library.contains(['/', '\0']) || library == "." || library == ".." {
        return Err(LoadError::NotAFileName { library: library.to_owned() });
    }
    let path = dir.join(library);
    let mut file = open(&path)?;
    check_status(&file, &path)?;
    let bytes = read_all(&mut file, &path)?;
    let found = hex(&Sha256::digest(&bytes));
    if let Some(expected) = sha256 {
        check_sum(expected, &found, &path)?;
    }
    elf::check(&bytes, exedra_abi::ENTRY_SYMBOL).map_err(|fault| elf_error(fault, &path))?;
    Ok(Verified { path, bytes, sha256: found })
}

/// Writes the verified bytes to a file of their own in `dir`, which only the hub's user can enter.
pub(crate) fn stage(verified: &Verified, dir: &Path, name: &str) -> Result<PathBuf, LoadError> {
    let path = dir.join(name);
    let write = || -> io::Result<()> {
        private_dir(dir)?;
        let temporary = dir.join(format!("{name}.tmp"));
        remove(&temporary)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o500).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC);
        options.open(&temporary)?.write_all(&verified.bytes)?;
        // A rename makes a new inode, so a library that is mapped already stays what it was.
        fs::rename(&temporary, &path)
    };
    write().map_err(|source| LoadError::Stage { path: path.clone(), source })?;
    Ok(path)
}

/// Removes older copies of a plugin: `<name>-<generation>-<checksum>.so`. What is still mapped stays usable.
pub(crate) fn sweep(dir: &Path, name: &str) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    let is_copy = |file: &str| {
        let rest = file.strip_prefix(name)?.strip_prefix('-')?.strip_suffix(".so")?;
        let (generation, sum) = rest.split_once('-')?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
        (digits(generation) && sum.len() == 12 && digits(sum)).then_some(())
    };
    for entry in entries.flatten() {
        if entry.file_name().to_str().and_then(is_copy).is_some() {
            let _ = fs::remove_file(entry.path()); // it only takes up space
        }
    }
}

/// Makes `dir`, or takes everybody else's rights away from it.
fn private_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let status = fs::symlink_metadata(dir)?;
    if !status.is_dir() || status.uid() != own_uid() {
        return Err(io::Error::other("it must be a folder of the hub's own user, and no link"));
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Opens without following a link in the last place and without waiting for a pipe's other end.
fn open(path: &Path) -> Result<File, LoadError> {
    let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK;
    OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|source| {
        let path = path.to_owned();
        match source.raw_os_error() {
            Some(libc::ELOOP) => LoadError::Symlink { path },
            Some(libc::ENOENT) => LoadError::NotFound { path },
            Some(libc::ENXIO) => LoadError::NotRegular { path },
            _ => LoadError::Unreadable { path, source },
        }
    })
}

fn check_status(file: &File, path: &Path) -> Result<(), LoadError> {
    let path = path.to_owned();
    let status = match file.metadata() {
        Ok(status) => status,
        Err(source) => return Err(LoadError::Unreadable { path, source }),
    };
    let (uid, mode, size) = (status.uid(), status.mode() & 0o777, status.len());
    if !status.is_file() {
        return Err(LoadError::NotRegular { path });
    }
    if uid != 0 && uid != own_uid() {
        return Err(LoadError::Owner { path, uid });
    }
    if mode & 0o022 != 0 {
        return Err(LoadError::Writable { path, mode });
    }
    if size > LIMIT {
        return Err(LoadError::TooLarge { path, size, limit: LIMIT });
    }
    Ok(())
}

/// The file may grow while it is read, so the limit is held here as well.
fn read_all(file: &mut File, path: &Path) -> Result<Vec<u8>, LoadError> {
    let mut bytes = Vec::new();
    let read = file.take(LIMIT + 1).read_to_end(&mut bytes);
    let path = path.to_owned();
    match read {
        Err(source) => Err(LoadError::Unreadable { path, source }),
        Ok(size) if size as u64 > LIMIT => Err(LoadError::TooLarge { path, size: size as u64, limit: LIMIT }),
        Ok(_) => Ok(bytes),
    }
}

fn check_sum(expected: &str, found: &str, path: &Path) -> Result<(), LoadError> {
    let path = path.to_owned();
    if expected.len() != 64 || !expected.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(LoadError::MalformedChecksum { path });
    }
    if expected.eq_ignore_ascii_case(found) {
        return Ok(());
    }
    Err(LoadError::Checksum { path, expected: expected.to_ascii_lowercase(), found: found.to_owned() })
}

fn elf_error(fault: elf::Fault, path: &Path) -> LoadError {
    let path = path.to_owned();
    match fault {
        elf::Fault::NotElf => LoadError::NotElf { path },
        elf::Fault::WrongMachine(found) => LoadError::WrongMachine { path, found, wanted: elf::MACHINE },
        elf::Fault::NotShared => LoadError::NotShared { path },
        elf::Fault::Truncated => LoadError::Truncated { path },
        elf::Fault::StaticTls => LoadError::StaticTls { path },
        elf::Fault::NoSymbol => LoadError::NoSymbol { path },
    }
}

#[expect(unsafe_code, reason = "asks the system who we are")]
fn own_uid() -> u32 {
    // SAFETY: takes nothing, cannot fail.
    unsafe { libc::geteuid() }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
