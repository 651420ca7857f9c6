//! What makes disks ill: what was asked for, what was chosen, and why.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What a plan asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskWanted {
    /// FUSE where it was seen to work, else seccomp where all that is planned can be done with it.
    #[default]
    Auto,
    /// FUSE, or nothing.
    Fuse,
    /// seccomp, or nothing.
    Seccomp,
}

/// What makes them ill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskBackend {
    /// [`super::FuseDisks`].
    Fuse,
    /// [`super::SeccompDisks`].
    Seccomp,
}

/// A backend, and why it is that one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskChoice {
    /// Which.
    pub backend: DiskBackend,
    /// Why, in a few words.
    pub why: String,
}

impl DiskWanted {
    /// Every choice.
    pub const ALL: [DiskWanted; 3] = [Self::Auto, Self::Fuse, Self::Seccomp];

    /// Its word on the command line and in a plan.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Fuse => "fuse",
            Self::Seccomp => "seccomp",
        }
    }
}

impl fmt::Display for DiskWanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for DiskChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.backend {
            DiskBackend::Fuse => DiskWanted::Fuse.name(),
            DiskBackend::Seccomp => DiskWanted::Seccomp.name(),
        };
        write!(f, "{name}: {}", self.why)
    }
}

/// No name of what makes disks ill.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` makes no disks ill: use auto, fuse or seccomp")]
pub struct DiskNameError(String);

impl FromStr for DiskWanted {
    type Err = DiskNameError;

    fn from_str(text: &str) -> Result<Self, DiskNameError> {
        let found = Self::ALL.into_iter().find(|wanted| wanted.name() == text);
        found.ok_or_else(|| DiskNameError(text.to_owned()))
    }
}
