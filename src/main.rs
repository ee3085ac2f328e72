//! The `sipreg` command: see [`sipreg::cli`].

fn main() -> std::process::ExitCode {
    sipreg::cli::main()
}
