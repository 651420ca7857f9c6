//! What each command does, from its flags to its exit code.

mod check;
mod clean;
mod doctor;
mod export;
mod list;
mod run;
mod tell;

pub(crate) use check::check;
pub(crate) use clean::clean;
pub(crate) use doctor::doctor;
pub(crate) use export::export;
pub(crate) use list::list;
pub(crate) use run::{run, scenario};
