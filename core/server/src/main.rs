//! The way out: everything else is in the library, where tests can reach it. Only the allocator is chosen here.

/// Why not the system's: ARCHITECTURE.md, D14. Plugins keep the system's; whoever allocates frees.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    exedra::cli::run()
}
