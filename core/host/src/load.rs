//! From what the operator says to a plugin that may be created: the steps in order, for files and for entries that
//! are linked in.

use std::{
    collections::HashMap,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

use exedra_abi::Entry;
use exedra_hub::manifest::Manifest;
use parking_lot::Mutex;

use crate::{
    Inspection, LoadError, PluginSpec, Source,
    entry::{self, Contract},
    library,
    verify::{self, Verified},
};

/// Libraries that one process loads. They are never closed, and each brings thread keys with it, of which a process has
/// 1,024 and is ended by the system when it asks for one more.
const MOST_LIBRARIES: usize = 200;

/// Loads a plugin only to read what it says about itself, for `exedra plugin inspect` and `check`.
///
/// # Errors
/// As [`crate::Host::load`].
pub fn inspect(spec: PluginSpec) -> Result<Inspection, LoadError> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("exedra-inspect-{}-{number}", std::process::id()));
    let opened = open(&spec, &dir);
    // The library is mapped by now, or was refused; either way the copy is not needed any more.
    let _ = std::fs::remove_dir_all(&dir);
    let opened = opened?;
    let manifest = described(&spec, &opened.contract)?;
    let Contract { id, version, sdk, entry } = opened.contract;
    let abi = format!("{}.{}", entry.abi_major, entry.abi_minor);
    Ok(Inspection { id, version, sdk, abi, sha256: opened.sha256, size: opened.size, manifest })
}

/// A plugin whose entry is known.
pub(crate) struct Opened {
    pub(crate) contract: Contract,
    pub(crate) sha256: Option<String>,
    pub(crate) size: u64,
}

/// Verifies, loads and negotiates. A copy of a file goes to `copies`.
pub(crate) fn open(spec: &PluginSpec, copies: &Path) -> Result<Opened, LoadError> {
    let opened = match &spec.source {
        Source::Static(entry) => {
            let contract = entry::negotiate(*entry, &spec.name)?;
            Opened { contract, sha256: None, size: 0 }
        }
        Source::File { dir, library, sha256 } => {
            let verified = verify::read(dir, library, sha256.as_deref())?;
            let contract = entry::negotiate(loaded(&verified, &spec.name, copies)?.0, &spec.shown())?;
            let size = verified.bytes.len() as u64;
            Opened { contract, sha256: Some(verified.sha256), size }
        }
    };
    if opened.contract.id != spec.name {
        return Err(LoadError::NameDiffers { configured: spec.name.clone(), found: opened.contract.id });
    }
    Ok(opened)
}

/// The plugin's manifest, checked against its settings.
pub(crate) fn described(spec: &PluginSpec, contract: &Contract) -> Result<Manifest, LoadError> {
    let manifest = contract.describe(&spec.settings)?;
    entry::check_settings(&manifest, &spec.settings)?;
    Ok(manifest)
}

/// The entry of a library that is loaded, wherever its bytes lay.
#[derive(Clone, Copy)]
struct Mapped(*const Entry);

#[expect(unsafe_code, reason = "an address may go to other threads")]
// SAFETY: libraries are never closed, and what is there is only read.
unsafe impl Send for Mapped {}

/// Loads a library, or finds it among those that this process has loaded: the same bytes are the same code, and
/// loading them again would only take up space.
fn loaded(verified: &Verified, name: &str, copies: &Path) -> Result<Mapped, LoadError> {
    static LIBRARIES: Mutex<Option<HashMap<String, Mapped>>> = Mutex::new(None);
    // Held while loading: the dynamic loader takes one at a time anyway.
    let mut libraries = LIBRARIES.lock();
    let libraries = libraries.get_or_insert_default();
    if let Some(mapped) = libraries.get(&verified.sha256) {
        return Ok(*mapped);
    }
    if libraries.len() >= MOST_LIBRARIES {
        return Err(LoadError::TooMany { path: verified.path.clone(), limit: MOST_LIBRARIES });
    }
    // A name of its own: the loader takes a known name for the library that it has already.
    let stem: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    let file = format!("{stem}-{}-{}.so", libraries.len() + 1, &verified.sha256[..12]);
    verify::sweep(copies, &stem);
    let copy = verify::stage(verified, copies, &file)?;
    let mapped = Mapped(library::open(&copy, verified)?);
    libraries.insert(verified.sha256.clone(), mapped);
    Ok(mapped)
}
