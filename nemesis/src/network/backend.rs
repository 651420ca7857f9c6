//! Which network carries a run's packets: what was asked for, what was chosen, and why.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{Iptables, IptablesOptions, Network, NetworkError, Switch, SwitchOptions, TcpBackoff};
use crate::sandbox::Sandbox;

/// What a plan asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    /// iptables and tc where all that the plan needs was seen to work with them, else the switch.
    #[default]
    Auto,
    /// iptables and tc, or nothing.
    Iptables,
    /// The userspace switch.
    Switch,
}

/// Who carries the packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// The kernel: [`Iptables`].
    Iptables,
    /// A thread of ours: [`Switch`].
    Switch,
}

/// A backend, and why it is that one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// Which.
    pub backend: Backend,
    /// Why, in a few words.
    pub why: String,
}

impl Backend {
    /// Builds a network of this kind, with the usual options but for this.
    ///
    /// # Errors
    ///
    /// As [`Switch::create`] and [`Iptables::create`].
    pub fn create(
        self,
        inside: &Sandbox,
        nodes: u16,
        backoff: TcpBackoff,
    ) -> Result<Box<dyn Network>, NetworkError> {
        Ok(match self {
            Self::Iptables => {
                let options = IptablesOptions {
                    backoff,
                    ..IptablesOptions::default()
                };
                Box::new(Iptables::create(inside, nodes, &options)?)
            }
            Self::Switch => {
                let options = SwitchOptions {
                    backoff,
                    ..SwitchOptions::default()
                };
                Box::new(Switch::create(inside, nodes, &options)?)
            }
        })
    }
}

impl Wanted {
    /// Every choice.
    pub const ALL: [Wanted; 3] = [Self::Auto, Self::Iptables, Self::Switch];

    /// Its word on the command line and in a plan.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Iptables => "iptables",
            Self::Switch => "switch",
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Iptables => Wanted::Iptables.name(),
            Self::Switch => Wanted::Switch.name(),
        })
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.backend, self.why)
    }
}

/// No name of a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no network: use auto, iptables or switch")]
pub struct NetworkNameError(String);

impl FromStr for Wanted {
    type Err = NetworkNameError;

    fn from_str(text: &str) -> Result<Self, NetworkNameError> {
        let found = Self::ALL.into_iter().find(|wanted| wanted.name() == text);
        found.ok_or_else(|| NetworkNameError(text.to_owned()))
    }
}
