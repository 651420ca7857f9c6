//! The control binary with the bundled targets.

use std::process::ExitCode;

fn main() -> ExitCode {
    ordeal::main_with(&ordeal::target::Targets::default())
}
