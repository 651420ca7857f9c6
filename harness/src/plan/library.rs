//! The scenarios that the binary brings along, and those in files.

use super::{Draft, PlanError, draft};
use std::path::Path;

/// Name and text of each scenario, in the order in which they are listed.
pub(crate) const SCENARIOS: &[(&str, &str)] = &[
    (
        "s02-leader-crash",
        include_str!("../../scenarios/s02-leader-crash.toml"),
    ),
    (
        "s03-old-leader-returns",
        include_str!("../../scenarios/s03-old-leader-returns.toml"),
    ),
    (
        "s04-isolated-node-rejoins",
        include_str!("../../scenarios/s04-isolated-node-rejoins.toml"),
    ),
    (
        "s04-disruptive-node",
        include_str!("../../scenarios/s04-disruptive-node.toml"),
    ),
    (
        "s05-check-quorum",
        include_str!("../../scenarios/s05-check-quorum.toml"),
    ),
    (
        "s05-deadlock",
        include_str!("../../scenarios/s05-deadlock.toml"),
    ),
    (
        "s11-minority-leader",
        include_str!("../../scenarios/s11-minority-leader.toml"),
    ),
    (
        "s11-stale-read",
        include_str!("../../scenarios/s11-stale-read.toml"),
    ),
    (
        "s17-snapshot-catch-up",
        include_str!("../../scenarios/s17-snapshot-catch-up.toml"),
    ),
    (
        "s18-transfer",
        include_str!("../../scenarios/s18-transfer.toml"),
    ),
    (
        "s19-wall-clock",
        include_str!("../../scenarios/s19-wall-clock.toml"),
    ),
    (
        "s20-power-loss-after-ack",
        include_str!("../../scenarios/s20-power-loss-after-ack.toml"),
    ),
    (
        "s20-lying-disk",
        include_str!("../../scenarios/s20-lying-disk.toml"),
    ),
    (
        "s21-quorum-reads",
        include_str!("../../scenarios/s21-quorum-reads.toml"),
    ),
    (
        "s21-write-back",
        include_str!("../../scenarios/s21-write-back.toml"),
    ),
    (
        "s22-async-loss",
        include_str!("../../scenarios/s22-async-loss.toml"),
    ),
    (
        "s23-semi-sync-loss",
        include_str!("../../scenarios/s23-semi-sync-loss.toml"),
    ),
    (
        "s24-full-sync-outage",
        include_str!("../../scenarios/s24-full-sync-outage.toml"),
    ),
];

/// The scenario of that name, or in that file.
///
/// # Errors
/// If there is neither, or it is no scenario.
pub(crate) fn scenario(name: &Path) -> Result<Draft, PlanError> {
    let word = name.to_string_lossy();
    let known = SCENARIOS.iter().find(|(known, _)| *known == word);
    let draft = match known {
        Some((known, text)) => draft::parse(text, Path::new(&format!("{known}.toml")))?,
        None if name.exists() => draft::read(name)?,
        None => {
            let names: Vec<&str> = SCENARIOS.iter().map(|(name, _)| *name).collect();
            return Err(PlanError::NoScenario {
                name: word.into_owned(),
                known: names.join(", "),
            });
        }
    };
    if draft.scenario.is_none() {
        return Err(PlanError::NoSteps(name.to_owned()));
    }
    Ok(draft)
}

/// What each scenario shows, and how it ends.
pub(crate) fn summaries() -> Vec<(&'static str, String)> {
    #[derive(serde::Deserialize)]
    struct File {
        scenario: Head,
    }
    #[derive(serde::Deserialize)]
    struct Head {
        summary: String,
        #[serde(default)]
        exit: u8,
    }
    let told = SCENARIOS.iter().map(|(name, text)| {
        let head = toml::from_str::<File>(text).map(|file| file.scenario);
        let head = head.expect("a test reads every scenario that is brought along");
        (*name, format!("{} (exit {})", head.summary, head.exit))
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Targets;

    #[test]
    fn every_scenario_that_is_brought_along_can_be_planned_and_is_stored_whole() {
        for (name, _) in SCENARIOS {
            let draft = scenario(Path::new(name)).unwrap();
            let plan = draft.validate(&Targets::default(), || 7).unwrap();
            assert_eq!(plan.scenario.as_ref().unwrap().name, *name);
            let stored = plan.to_toml();
            let again = draft::parse(&stored, Path::new("plan.toml")).unwrap();
            let again = again.validate(&Targets::default(), || 0).unwrap();
            assert_eq!(again, plan, "{name}: {stored}");
        }
        assert_eq!(summaries().len(), SCENARIOS.len());
    }

    fn refusal(text: &str) -> String {
        let draft = draft::parse(text, Path::new("my.toml"));
        let plan = draft.and_then(|draft| draft.validate(&Targets::default(), || 7));
        plan.unwrap_err().to_string()
    }

    #[test]
    fn a_wrong_scenario_is_refused_with_line_key_and_reason() {
        let head = "[scenario]\nname = \"x\"\nsummary = \"y\"\n";
        for (steps, words) in [
            (
                "[[scenario.step]]\nwait = \"1s\"\n[[scenario.step]]\nheal = \"x\"\n",
                &[
                    "my.toml, line 6",
                    "step 2, `heal`",
                    "no fault was injected as `x`",
                ][..],
            ),
            (
                "[[scenario.step]]\nwait = \"sunshine\"\n",
                &["line 5", "wait = \"sunshine\"", "is no condition"],
            ),
            (
                "[[scenario.step]]\nexpect = \"leader\"\nuntil = \"1s\"\n",
                &["line 6", "until", "unknown field"],
            ),
            (
                "[[scenario.step]]\ninject = \"damage $majority: wipe\"\n",
                &["may destroy 3 of 5 disks"],
            ),
            ("", &["a scenario has at least one step"]),
        ] {
            let told = refusal(&format!("{head}{steps}"));
            for word in words {
                assert!(told.contains(word), "{word:?} is not in {told}");
            }
        }
        let both = "nemesis = \"kill\"\n[scenario]\nname = \"x\"\nsummary = \"y\"\n\
                    [[scenario.step]]\nwait = \"1s\"\n";
        assert!(refusal(both).contains("nemesis"));
    }
}
