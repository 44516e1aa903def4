//! Every way in which a plugin can be refused. Each message names the file or the plugin, the rule that was
//! broken, and what to do about it: whoever reads it has the configuration open, not this source.

use std::path::PathBuf;

/// Why a plugin was not loaded or not started.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The configured library is not a bare file name.
    #[error(
        "plugin library {library:?} must be a file name without slashes; put the folder into `plugins.dir`"
    )]
    NotAFileName {
        /// As configured.
        library: String,
    },
    /// No such file.
    #[error("plugin file {} does not exist; build it, or correct `library` or `plugins.dir`", path.display())]
    NotFound {
        /// The file.
        path: PathBuf,
    },
    /// A symbolic link.
    #[error("plugin file {} is a symbolic link; put the file itself there", path.display())]
    Symlink {
        /// The file.
        path: PathBuf,
    },
    /// A folder, device, socket or pipe.
    #[error("plugin file {} is not a regular file; name the shared library itself", path.display())]
    NotRegular {
        /// The file.
        path: PathBuf,
    },
    /// Owned by somebody else.
    #[error("plugin file {} belongs to user {uid}; it must belong to root or to the hub's user (chown it)", path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// Who owns it.
        uid: u32,
    },
    /// Group or others may write it.
    #[error("plugin file {} can be written by others (mode {mode:03o}); run chmod go-w on it", path.display())]
    Writable {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Larger than any plugin should be.
    #[error("plugin file {} has {size} bytes, more than the {limit} that are allowed; strip it", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        size: u64,
        /// The largest allowed size.
        limit: u64,
    },
    /// It could not be opened or read.
    #[error("plugin file {} cannot be read; check its permissions", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The configured checksum is no SHA-256.
    #[error("`sha256` of plugin file {} must be 64 hexadecimal digits", path.display())]
    MalformedChecksum {
        /// The file.
        path: PathBuf,
    },
    /// The file is not the one that the configuration names.
    #[error(
        "plugin file {} has sha256 {found}, the configuration wants {expected}; \
         deploy the right file or change `sha256`",
        path.display()
    )]
    Checksum {
        /// The file.
        path: PathBuf,
        /// As configured.
        expected: String,
        /// As read.
        found: String,
    },
    /// Not an ELF file.
    #[error("plugin file {} is not an ELF shared library; name the built .so file", path.display())]
    NotElf {
        /// The file.
        path: PathBuf,
    },
    /// Built for another machine.
    #[error("plugin file {} is built for another machine ({found}); build it for {wanted}", path.display())]
    WrongMachine {
        /// The file.
        path: PathBuf,
        /// What it is built for.
        found: String,
        /// What the hub runs on.
        wanted: &'static str,
    },
    /// An ELF file, but no shared library.
    #[error("plugin file {} is an ELF file but no shared library; link it with -shared (crate-type cdylib)", path.display())]
    NotShared {
        /// The file.
        path: PathBuf,
    },
    /// The file ends too early.
    #[error("plugin file {} is truncated or damaged; copy or build it again", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
    },
    /// It needs memory that may not be there when it is loaded late.
    #[error(
        "plugin file {} uses static thread-local storage (DF_STATIC_TLS); build it without -ftls-model=initial-exec \
         and without an allocator that needs it",
        path.display()
    )]
    StaticTls {
        /// The file.
        path: PathBuf,
    },
    /// The entry is not exported.
    #[error("plugin file {} does not export `exedra_plugin_v1`; export it (Rust: `exedra_sdk::export!`)", path.display())]
    NoSymbol {
        /// The file.
        path: PathBuf,
    },
    /// The verified copy could not be written.
    #[error("the verified copy of a plugin cannot be written to {}; check the state folder", path.display())]
    Stage {
        /// The copy.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The dynamic loader refused it.
    #[error("plugin file {} cannot be loaded: {reason}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the dynamic loader said.
        reason: String,
    },
    /// As many libraries as one process can have.
    #[error(
        "plugin file {} is not loaded: this process has loaded {limit} libraries, and none can be unloaded; \
         restart the hub",
        path.display()
    )]
    TooMany {
        /// The file.
        path: PathBuf,
        /// How many there may be.
        limit: usize,
    },
    /// The entry table is not what it should be.
    #[error("the entry of plugin {plugin} is damaged: {rule}; build it against include/exedra.h")]
    BadEntry {
        /// The file or name.
        plugin: String,
        /// The rule that was broken.
        rule: &'static str,
    },
    /// Built for another major version.
    #[error("plugin {plugin} is built for ABI {found}, this hub speaks {wanted}; rebuild the plugin")]
    AbiMajor {
        /// The file or name.
        plugin: String,
        /// What it is built for.
        found: u16,
        /// What the hub speaks.
        wanted: u16,
    },
    /// It needs a newer hub.
    #[error(
        "plugin {plugin} needs a hub with ABI minor {needs} or newer, this one has {has}; update the hub"
    )]
    TooNew {
        /// The file or name.
        plugin: String,
        /// The oldest minor that it runs on.
        needs: u16,
        /// The hub's minor.
        has: u16,
    },
    /// It needs abilities that this hub does not have.
    #[error("plugin {plugin} needs {missing:?}, which this hub does not have; update the hub")]
    MissingExtension {
        /// The file or name.
        plugin: String,
        /// The names that are not known.
        missing: Vec<String>,
    },
    /// Its own name is not the configured one.
    #[error(
        "[plugins.{configured}] loads a plugin that is called {found:?}; rename the section or correct `library`"
    )]
    NameDiffers {
        /// The name of the section.
        configured: String,
        /// What the plugin says.
        found: String,
    },
    /// Two plugins of one name.
    #[error("plugin {plugin} is loaded twice; remove one of the sections")]
    Duplicate {
        /// The name.
        plugin: String,
    },
    /// Plugins are loaded before the start.
    #[error("plugin {plugin} comes after the start; the hub must be restarted to load it")]
    TooLate {
        /// The name.
        plugin: String,
    },
    /// `describe` said no.
    #[error("plugin {plugin} does not accept its settings: {message}; correct [plugins.{plugin}.settings]")]
    Describe {
        /// The name.
        plugin: String,
        /// What the plugin says.
        message: String,
    },
    /// `describe` panicked.
    #[error("plugin {plugin} panicked while describing itself: {message}; this is a fault of the plugin")]
    DescribePanicked {
        /// The name.
        plugin: String,
        /// What the plugin says.
        message: String,
    },
    /// The manifest is not what it should be.
    #[error(
        "the manifest of plugin {plugin} cannot be read: {source}; build it with the SDK of this hub's version"
    )]
    Manifest {
        /// The name.
        plugin: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The manifest's own JSON Schema is none.
    #[error(
        "the settings schema of plugin {plugin} is no JSON Schema: {reason}; this is a fault of the plugin"
    )]
    SettingsSchema {
        /// The name.
        plugin: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A JSON Schema of a payload is none.
    #[error(
        "plugin {plugin} declares a payload whose JSON Schema is none: {reason}; this is a fault of the plugin"
    )]
    PayloadSchema {
        /// The name.
        plugin: String,
        /// Which one, and what is wrong with it.
        reason: String,
    },
    /// The settings do not fit the manifest's JSON Schema.
    #[error("[plugins.{plugin}.settings] is wrong: {}", problems.join("; "))]
    Settings {
        /// The name.
        plugin: String,
        /// One sentence per problem.
        problems: Vec<String>,
    },
    /// A metric of the manifest cannot be registered.
    #[error("plugin {plugin} declares a metric that cannot be: {reason}; this is a fault of the plugin")]
    Metric {
        /// The name.
        plugin: String,
        /// What is wrong with it.
        reason: String,
    },
    /// `create` said no.
    #[error("plugin {plugin} could not be created: {message}")]
    Create {
        /// The name.
        plugin: String,
        /// What the plugin says.
        message: String,
    },
    /// `create` panicked.
    #[error("plugin {plugin} panicked while it was created: {message}; this is a fault of the plugin")]
    CreatePanicked {
        /// The name.
        plugin: String,
        /// What the plugin says.
        message: String,
    },
    /// `create` gave no usable table.
    #[error("plugin {plugin} made an instance without `dispatch`; build it against include/exedra.h")]
    Incomplete {
        /// The name.
        plugin: String,
    },
    /// `start` said no.
    #[error("plugin {plugin} could not be started (status {status}); its log says why")]
    Start {
        /// The name.
        plugin: String,
        /// The status that it gave.
        status: i32,
    },
    /// `start` panicked.
    #[error("plugin {plugin} panicked while it started; this is a fault of the plugin")]
    StartPanicked {
        /// The name.
        plugin: String,
    },
    /// Only a running plugin can be replaced.
    #[error("plugin {plugin} does not run in this hub")]
    NotRunning {
        /// The name.
        plugin: String,
    },
    /// The hub cannot go by the manifest, beside those of the other plugins.
    #[error("plugin {plugin} does not fit in: {reason}")]
    Conflict {
        /// The name.
        plugin: String,
        /// What is in the way.
        reason: String,
    },
    /// The host has been stopped.
    #[error("the plugin host has been stopped")]
    Stopped,
    /// A thread of the host could not be made.
    #[error("a plugin thread cannot be started; check the limit of processes and threads")]
    Threads(#[source] std::io::Error),
}
