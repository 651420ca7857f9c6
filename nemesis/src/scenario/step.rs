//! One step of a scenario, and how it stands in a file.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    condition::{Condition, ConditionError},
    duration,
    template::{Template, TemplateError, is_name, is_role},
};

/// How long a wait lasts unless it says otherwise.
const WITHIN: Duration = Duration::from_secs(10);

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Raw", try_from = "Raw")]
pub enum Step {
    /// From now on `$name` means these nodes.
    Let {
        /// The name.
        name: String,
        /// Who is meant, now.
        nodes: Template,
    },
    /// Injects a fault.
    Inject {
        /// Its text, once the nodes are named.
        fault: Template,
        /// By which name it is healed.
        name: Option<String>,
        /// When it heals by itself; otherwise when told to, or at the end.
        lasts: Option<Duration>,
    },
    /// Gives an administrator's order.
    Admin(Template),
    /// Heals what was injected.
    Heal(Heal),
    /// Waits until something holds; missing it ends the scenario.
    Wait {
        /// What.
        until: Condition,
        /// How long at most.
        within: Duration,
    },
    /// Something that must hold; a finding where it does not.
    Expect {
        /// What.
        that: Condition,
        /// How long it may take to come about; it must hold at once otherwise.
        within: Option<Duration>,
        /// How long it must hold.
        lasts: Option<Duration>,
    },
    /// Clients stop or go on.
    Workload(Workload),
}

/// What is healed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heal {
    /// Everything in force.
    All,
    /// The fault that was injected `as` this.
    Named(String),
}

/// What clients are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// Begin no more operations.
    Hold,
    /// Go on.
    Resume,
}

/// A step that says too little, too much or nonsense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// It is none, or two at once.
    #[error("a step has exactly one of let, inject, admin, heal, wait, expect and workload; {0}")]
    Kind(String),
    /// A key that means nothing in such a step.
    #[error("`{key}` means nothing in a step with `{step}`")]
    Key {
        /// The key.
        key: &'static str,
        /// What the step does.
        step: &'static str,
    },
    /// A key that is missing.
    #[error("a step with `{step}` needs `{key}` too")]
    Missing {
        /// The key.
        key: &'static str,
        /// What the step does.
        step: &'static str,
    },
    /// Not a length of time.
    #[error("{key} = \"{text}\" is not a length of time: write 500ms, 2s or 1m, at most an hour")]
    Time {
        /// Which key.
        key: &'static str,
        /// What it says.
        text: String,
    },
    /// Not a name.
    #[error("{key} = \"{name}\" is no name: {why}")]
    Name {
        /// Which key.
        key: &'static str,
        /// What it says.
        name: String,
        /// Why not.
        why: &'static str,
    },
    /// Not nodes.
    #[error("is = \"{text}\": {why}")]
    Nodes {
        /// What it says.
        text: String,
        /// Why not.
        why: String,
    },
    /// A condition that cannot be asked here.
    #[error("{0}")]
    Condition(String),
    /// Not a condition.
    #[error(transparent)]
    NoCondition(#[from] ConditionError),
    /// Not a template.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// A step as it stands in a file, which may not be one: for whoever reads a file of many, and is to
/// say which of them is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct StepDraft(Raw);

impl StepDraft {
    /// The step.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn step(self) -> Result<Step, StepError> {
        self.0.try_into()
    }
}

/// As it stands in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    #[serde(rename = "let", skip_serializing_if = "Option::is_none")]
    bind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is: Option<Template>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inject: Option<Template>,
    #[serde(rename = "as", skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    admin: Option<Template>,
    #[serde(skip_serializing_if = "Option::is_none")]
    heal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait: Option<Condition>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expect: Option<Condition>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workload: Option<Workload>,
    #[serde(skip_serializing_if = "Option::is_none")]
    within: Option<String>,
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    lasts: Option<String>,
}

impl Raw {
    fn kind(&self) -> Result<&'static str, StepError> {
        let kinds = [
            ("let", self.bind.is_some()),
            ("inject", self.inject.is_some()),
            ("admin", self.admin.is_some()),
            ("heal", self.heal.is_some()),
            ("wait", self.wait.is_some()),
            ("expect", self.expect.is_some()),
            ("workload", self.workload.is_some()),
        ];
        let given: Vec<&str> = kinds
            .iter()
            .filter(|(_, is)| *is)
            .map(|(name, _)| *name)
            .collect();
        match given.as_slice() {
            [] => Err(StepError::Kind("this has none".to_owned())),
            [one] => Ok(*one),
            several => Err(StepError::Kind(format!(
                "this has {}",
                several.join(" and ")
            ))),
        }
    }

    /// No key is given that this kind of step has no use for.
    fn refuse_others(&self, step: &'static str) -> Result<(), StepError> {
        let keys = [
            ("is", self.is.is_some(), &["let"][..]),
            ("as", self.name.is_some(), &["inject"]),
            ("within", self.within.is_some(), &["wait", "expect"]),
            ("for", self.lasts.is_some(), &["inject", "expect"]),
        ];
        for (key, is_given, steps) in keys {
            if is_given && !steps.contains(&step) {
                return Err(StepError::Key { key, step });
            }
        }
        Ok(())
    }
}

impl TryFrom<Raw> for Step {
    type Error = StepError;

    fn try_from(raw: Raw) -> Result<Self, StepError> {
        let kind = raw.kind()?;
        raw.refuse_others(kind)?;
        let within = time("within", raw.within)?;
        let lasts = time("for", raw.lasts)?;
        if let Some(name) = raw.bind {
            return bind(name, raw.is);
        }
        if let Some(fault) = raw.inject {
            let name = raw.name.map(|name| named("as", name)).transpose()?;
            return Ok(Self::Inject { fault, name, lasts });
        }
        if let Some(order) = raw.admin {
            return Ok(Self::Admin(order));
        }
        if let Some(what) = raw.heal {
            return Ok(Self::Heal(match what.as_str() {
                "all" => Heal::All,
                _ => Heal::Named(named("heal", what)?),
            }));
        }
        if let Some(until) = raw.wait {
            return wait(until, within);
        }
        if let Some(that) = raw.expect {
            return expect(that, within, lasts);
        }
        let workload = raw
            .workload
            .ok_or_else(|| StepError::Kind("this has none".to_owned()))?;
        Ok(Self::Workload(workload))
    }
}

fn bind(name: String, is: Option<Template>) -> Result<Step, StepError> {
    let name = named("let", name)?;
    if is_role(&name) {
        let why = "it means something already";
        return Err(StepError::Name {
            key: "let",
            name,
            why,
        });
    }
    let nodes = is.ok_or(StepError::Missing {
        key: "is",
        step: "let",
    })?;
    if let Some(why) = nodes.is_not_nodes() {
        let text = nodes.to_string();
        return Err(StepError::Nodes { text, why });
    }
    Ok(Step::Let { name, nodes })
}

fn wait(until: Condition, within: Option<Duration>) -> Result<Step, StepError> {
    let within = match (&until, within) {
        (Condition::Passed(_), Some(_)) => {
            return Err(StepError::Key {
                key: "within",
                step: "wait for a time",
            });
        }
        (Condition::Passed(time), None) => *time * 2,
        (_, within) => within.unwrap_or(WITHIN),
    };
    Ok(Step::Wait { until, within })
}

fn expect(
    that: Condition,
    within: Option<Duration>,
    lasts: Option<Duration>,
) -> Result<Step, StepError> {
    if matches!(that, Condition::Passed(_)) {
        let why = "time passes anyway: expect something that may fail, or `wait` so long";
        return Err(StepError::Condition(why.to_owned()));
    }
    if that.adds_up() && within.is_none() && lasts.is_none() {
        let why = format!("`{that}` counts from the beginning of the step: give it `within`");
        return Err(StepError::Condition(why));
    }
    if matches!(that, Condition::NoOk(_) | Condition::TermSame) && lasts.is_none() {
        let why = format!("`{that}` holds at the beginning of every step: give it `for`");
        return Err(StepError::Condition(why));
    }
    Ok(Step::Expect {
        that,
        within,
        lasts,
    })
}

fn time(key: &'static str, text: Option<String>) -> Result<Option<Duration>, StepError> {
    let read = |text: String| duration::parse(&text).ok_or(StepError::Time { key, text });
    text.map(read).transpose()
}

fn named(key: &'static str, name: String) -> Result<String, StepError> {
    if is_name(&name) && name != "all" {
        return Ok(name);
    }
    let why = "use small letters, digits and -, beginning with a letter, and not `all`";
    Err(StepError::Name { key, name, why })
}

impl From<Step> for Raw {
    fn from(step: Step) -> Self {
        let print = |time: Option<Duration>| time.map(duration::print);
        let mut raw = Raw::default();
        match step {
            Step::Let { name, nodes } => (raw.bind, raw.is) = (Some(name), Some(nodes)),
            Step::Inject { fault, name, lasts } => {
                (raw.inject, raw.name, raw.lasts) = (Some(fault), name, print(lasts));
            }
            Step::Admin(order) => raw.admin = Some(order),
            Step::Heal(Heal::All) => raw.heal = Some("all".to_owned()),
            Step::Heal(Heal::Named(name)) => raw.heal = Some(name),
            Step::Wait { until, within } => {
                let is_time = matches!(until, Condition::Passed(_));
                raw.within = (!is_time).then(|| duration::print(within));
                raw.wait = Some(until);
            }
            Step::Expect {
                that,
                within,
                lasts,
            } => {
                (raw.within, raw.lasts) = (print(within), print(lasts));
                raw.expect = Some(that);
            }
            Step::Workload(workload) => raw.workload = Some(workload),
        }
        raw
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let within = |time: &Duration| format!(" within {}", duration::print(*time));
        let lasts = |time: &Duration| format!(" for {}", duration::print(*time));
        match self {
            Self::Let { name, nodes } => write!(f, "let ${name} be {nodes}"),
            Self::Inject {
                fault,
                name,
                lasts: time,
            } => {
                write!(f, "inject {fault}")?;
                f.write_str(&time.as_ref().map(lasts).unwrap_or_default())?;
                match name {
                    Some(name) => write!(f, " as {name}"),
                    None => Ok(()),
                }
            }
            Self::Admin(order) => write!(f, "order {order}"),
            Self::Heal(Heal::All) => f.write_str("heal all"),
            Self::Heal(Heal::Named(name)) => write!(f, "heal {name}"),
            Self::Wait {
                until: until @ Condition::Passed(_),
                ..
            } => write!(f, "wait {until}"),
            Self::Wait {
                until,
                within: time,
            } => write!(f, "wait until {until}{}", within(time)),
            Self::Expect {
                that,
                within: until,
                lasts: time,
            } => {
                let until = until.as_ref().map(within).unwrap_or_default();
                let time = time.as_ref().map(lasts).unwrap_or_default();
                write!(f, "expect {that}{until}{time}")
            }
            Self::Workload(Workload::Hold) => f.write_str("hold the workload"),
            Self::Workload(Workload::Resume) => f.write_str("resume the workload"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Step, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_step_is_read_back_from_what_it_is_stored_as() {
        for (text, words) in [
            ("let = \"old\"\nis = \"$leader\"\n", "let $old be $leader"),
            (
                "inject = \"kill $old\"\nas = \"crash\"\nfor = \"2s\"\n",
                "inject kill $old for 2s as crash",
            ),
            (
                "admin = \"transfer $follower\"\n",
                "order transfer $follower",
            ),
            ("heal = \"all\"\n", "heal all"),
            ("heal = \"crash\"\n", "heal crash"),
            ("wait = \"2s\"\n", "wait 2s"),
            (
                "wait = \"leader is not $old\"\nwithin = \"5s\"\n",
                "wait until leader is not $old within 5s",
            ),
            (
                "expect = \"leader is $new\"\nwithin = \"1s\"\nfor = \"2s\"\n",
                "expect leader is $new within 1s for 2s",
            ),
            ("workload = \"hold\"\n", "hold the workload"),
        ] {
            let step = read(text).unwrap();
            assert_eq!(step.to_string(), words);
            assert_eq!(toml::to_string(&step).unwrap(), text);
        }
    }

    #[test]
    fn a_wrong_step_is_refused_with_its_reason() {
        for (text, why) in [
            ("", "this has none"),
            ("heal = \"all\"\nwait = \"1s\"", "this has heal and wait"),
            (
                "heal = \"all\"\nfor = \"1s\"",
                "`for` means nothing in a step with `heal`",
            ),
            ("let = \"old\"", "a step with `let` needs `is` too"),
            (
                "let = \"leader\"\nis = \"n1\"",
                "it means something already",
            ),
            ("let = \"old\"\nis = \"the boss\"", "`the` is not a node"),
            ("let = \"Old\"\nis = \"n1\"", "let = \"Old\" is no name"),
            (
                "wait = \"leader\"\nwithin = \"soon\"",
                "within = \"soon\" is not a length of time",
            ),
            ("wait = \"1s\"\nwithin = \"2s\"", "`within` means nothing"),
            ("wait = \"sunshine\"", "`sunshine` is no condition"),
            ("expect = \"2s\"", "time passes anyway"),
            ("expect = \"ok 5\"", "give it `within`"),
            ("expect = \"no ok\"", "give it `for`"),
            ("inject = \"kill $X\"", "`$X` is no name"),
            ("workload = \"stop\"", "unknown variant `stop`"),
            ("pause = \"n1\"", "unknown field `pause`"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }
}
