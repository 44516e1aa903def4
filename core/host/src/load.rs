//! From what the operator says to a plugin that may be created: the steps in order, for files and for entries that
//! are linked in.

use std::{
    collections::HashMap,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

use exedra_hub::manifest::Manifest;
use parking_lot::Mutex;

use crate::{
    Inspection, LoadError, PluginSpec, Source,
    entry::{self, Contract},
    library, verify,
};

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
    pub(crate) generation: u32,
}

/// Verifies, loads and negotiates. A copy of a file goes to `copies`.
pub(crate) fn open(spec: &PluginSpec, copies: &Path) -> Result<Opened, LoadError> {
    let opened = match &spec.source {
        Source::Static(entry) => {
            let contract = entry::negotiate(*entry, &spec.name)?;
            Opened { contract, sha256: None, size: 0, generation: next_generation(&spec.name) }
        }
        Source::File { dir, library, sha256 } => {
            let verified = verify::read(dir, library, sha256.as_deref())?;
            let generation = next_generation(&spec.name);
            // A name of its own: the loader takes a known name for the library that it has already.
            let stem: String = spec.name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
            let name = format!("{stem}-{generation}-{}.so", &verified.sha256[..12]);
            verify::sweep(copies, &stem);
            let copy = verify::stage(&verified, copies, &name)?;
            let contract = entry::negotiate(library::open(&copy, &verified)?, &spec.shown())?;
            let size = verified.bytes.len() as u64;
            Opened { contract, sha256: Some(verified.sha256), size, generation }
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

/// Counts the libraries of a name that this process has loaded; they stay loaded, so it outlives every host.
fn next_generation(name: &str) -> u32 {
    static GENERATIONS: Mutex<Option<HashMap<String, u32>>> = Mutex::new(None);
    let mut generations = GENERATIONS.lock();
    let generation = generations.get_or_insert_default().entry(name.to_owned()).or_default();
    *generation += 1;
    *generation
}
