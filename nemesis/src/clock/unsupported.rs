//! Where nobody has written the code that makes a clock wrong.

use std::{convert::Infallible, io, process::Command};

use super::Setting;

/// There is none.
#[derive(Debug)]
pub(super) struct Patched(Infallible);

pub(super) fn hold(_: &mut Command) {}

impl Patched {
    pub(super) fn adopt(_: u32, _: &Setting) -> Result<Self, String> {
        Err("the vdso can be patched on x86_64 only; leave out the faults of clocks".to_owned())
    }

    pub(super) fn write(&mut self, _: &Setting) -> io::Result<()> {
        match self.0 {}
    }

    pub(super) fn read(&self) -> io::Result<Setting> {
        match self.0 {}
    }
}
