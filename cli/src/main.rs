//! The command-line tool.

fn main() -> std::process::ExitCode {
    npad_cli::main()
}
