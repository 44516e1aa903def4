//! The way out: everything else is in the library, where tests can reach it.

fn main() -> std::process::ExitCode {
    exedra::cli::run()
}
