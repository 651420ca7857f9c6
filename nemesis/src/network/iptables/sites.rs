//! One fault at its sites, the namespaces that it concerns: all at once, and where one fails, taken
//! back at the others.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
};

use super::{
    Iptables,
    fault::Rules,
    queues::{self, Egress},
    removal::{Removal, Removed},
    rules::{self, Count},
};
use crate::{
    network::{Namespace, Network as _, NetworkError},
    node::Endpoint,
};

/// A fault that is not there as it was to be, and where something of it is there nevertheless.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: NetworkError,
    pub(super) left: Option<Box<Left>>,
}

/// What was not taken back.
#[derive(Debug)]
pub(super) struct Left {
    why: NetworkError,
    /// Where rules are, with the queues that they send packets to.
    pub(super) rules: BTreeSet<Endpoint>,
    /// Where queues are that no packet is sent to.
    queues: BTreeSet<Endpoint>,
}

impl Failure {
    /// The same for whoever asked for fault `id`.
    pub(super) fn told(self, id: u64) -> NetworkError {
        let Some(left) = self.left else {
            return self.error;
        };
        let at = left.rules.union(&left.queues).map(Endpoint::to_string);
        NetworkError::Half {
            id,
            at: at.collect::<Vec<_>>().join(", "),
            error: Box::new(self.error),
            why: Box::new(left.why),
        }
    }
}

impl Iptables {
    fn inside(&self, end: Endpoint) -> &Namespace {
        match end {
            Endpoint::Clients => &self.cables.clients,
            Endpoint::Node(node) => self.namespace(node),
        }
    }

    /// Does the same in several namespaces, all at once.
    pub(super) fn at_each<T, F>(&self, sites: &BTreeSet<Endpoint>, work: F) -> BTreeMap<Endpoint, T>
    where
        T: Send,
        F: Fn(&Namespace, Endpoint) -> T + Sync,
    {
        thread::scope(|scope| {
            let work = &work;
            let running: Vec<_> = sites
                .iter()
                .map(|site| (*site, scope.spawn(move || work(self.inside(*site), *site))))
                .collect();
            let ended = running.into_iter().map(|(site, thread)| {
                let done = thread.join().expect("running a program does not panic");
                (site, done)
            });
            ended.collect()
        })
    }

    /// What a fault's rules have counted, wherever they are and were.
    pub(super) fn counts(&self, id: u64, rules: &Rules) -> Result<Vec<Count>, NetworkError> {
        let mut all = rules.counted.clone();
        for (site, saved) in self.at_each(&rules.sites, |inside, _| self.tools.save(inside)) {
            let counts = rules::counts(&saved?, id).ok_or(NetworkError::Gone { of: site, id })?;
            all.extend(counts);
        }
        Ok(all)
    }

    /// Removes a fault's chains, and looks whether they are gone; of its sites, those remain where
    /// that failed. What somebody else has removed is gone too, and is noted.
    ///
    /// Returns where nothing led to the rules of any fault; that is mended.
    pub(super) fn remove(
        &self,
        id: u64,
        rules: &mut Rules,
        removal: impl Fn(Endpoint) -> Removal + Sync,
    ) -> (BTreeSet<Endpoint>, Result<(), NetworkError>) {
        let removed = self.at_each(&rules.sites, |inside, site| {
            self.remove_at(inside, site, id, &removal(site))
        });
        let (mut unhooked, mut trouble) = (BTreeSet::new(), None);
        for (site, removed) in removed {
            match removed {
                Ok(removed) => {
                    rules.sites.remove(&site);
                    rules.counted.extend(removed.counts);
                    if !removed.was_whole {
                        rules.disturbed.insert(site);
                    }
                    if removed.repair.is_some() {
                        unhooked.insert(site);
                    }
                }
                Err(error) => trouble = Some(error),
            }
        }
        (unhooked, trouble.map_or(Ok(()), Err))
    }

    /// One program does all of it in a namespace, while others do theirs.
    fn remove_at(
        &self,
        inside: &Namespace,
        site: Endpoint,
        id: u64,
        removal: &Removal,
    ) -> Result<Removed, NetworkError> {
        let run = |removal: &Removal| {
            let answer = self.tools.remove(inside, &removal.batch())?;
            let removed = removal.read(&answer);
            removed.ok_or_else(|| self.tools.unreadable(&answer))
        };
        let removed = run(removal).or_else(|error| {
            // Rules that somebody else has taken away are why nothing could be removed.
            let left = self.tools.save(inside).map(|saved| removal.left(&saved));
            match left {
                Ok(left) if left != *removal => Ok(Removed {
                    was_whole: false,
                    ..run(&left)?
                }),
                _ => Err(error),
            }
        })?;
        if !removed.is_gone {
            return Err(NetworkError::Stays { of: site, id });
        }
        if let Some(repair) = &removed.repair {
            self.tools.restore(inside, repair)?;
        }
        Ok(removed)
    }

    /// Installs a fault's rules at its sites; where that fails at one, takes them away at the
    /// others, and says where that failed too.
    pub(super) fn install(
        &self,
        id: u64,
        sites: &BTreeSet<Endpoint>,
        rules: impl Fn(Endpoint) -> String + Sync,
        removal: impl Fn(Endpoint) -> Removal + Sync,
    ) -> Result<(), Failure> {
        let done = self.at_each(sites, |inside, site| {
            let failed = self.tools.restore(inside, &rules(site)).err()?;
            if matches!(failed, NetworkError::NotStarted { .. }) {
                return Some((failed, false));
            }
            // The batch may have been taken before the program failed; where nobody can tell, it
            // counts as taken.
            let saved = self.tools.save(inside);
            let is_there = saved.map_or(true, |saved| rules::counts(&saved, id).is_some());
            Some((failed, is_there))
        });
        let mut there = BTreeSet::new();
        let mut trouble = None;
        for (site, failed) in done {
            let is_there = failed.as_ref().is_none_or(|(_, is_there)| *is_there);
            if is_there {
                there.insert(site);
            }
            trouble = failed.map(|(error, _)| error).or(trouble);
        }
        let Some(error) = trouble else {
            return Ok(());
        };
        let mut there = Rules::at(there);
        let (_, undone) = self.remove(id, &mut there, removal);
        let left = undone.err().map(|why| {
            Box::new(Left {
                why,
                rules: there.sites,
                queues: BTreeSet::new(),
            })
        });
        Err(Failure { error, left })
    }

    /// Makes the queues of these sites; where that fails at one, takes all away again.
    pub(super) fn queue(
        &self,
        id: u64,
        sites: &BTreeSet<Endpoint>,
        change: impl Fn(Endpoint) -> (Egress, Egress) + Sync,
    ) -> Result<(), Failure> {
        let made = self.at_each(sites, |inside, site| {
            let (old, new) = change(site);
            self.tools.tc(inside, &queues::prepare(&old, &new)).err()
        });
        let is_not_started =
            |error: &NetworkError| matches!(error, NetworkError::NotStarted { .. });
        let begun = made
            .iter()
            .filter(|(_, failed)| !failed.as_ref().is_some_and(is_not_started));
        let begun: BTreeSet<Endpoint> = begun.map(|(site, _)| *site).collect();
        match made.into_values().flatten().next() {
            None => Ok(()),
            Some(error) => Err(Failure {
                error,
                left: self.unqueue(id, &begun, change),
            }),
        }
    }

    /// Takes away what [`Iptables::queue`] has made, or a part of it; returns where that failed.
    pub(super) fn unqueue(
        &self,
        id: u64,
        sites: &BTreeSet<Endpoint>,
        change: impl Fn(Endpoint) -> (Egress, Egress) + Sync,
    ) -> Option<Box<Left>> {
        let back = |site| {
            let (old, new) = change(site);
            (new, old)
        };
        let why = self.requeue(id, sites, back).err()?;
        Some(Box::new(Left {
            why,
            rules: BTreeSet::new(),
            queues: sites.clone(),
        }))
    }

    /// Makes queues of the one kind to such of the other, and looks whether they are.
    pub(super) fn requeue(
        &self,
        id: u64,
        sites: &BTreeSet<Endpoint>,
        change: impl Fn(Endpoint) -> (Egress, Egress) + Sync,
    ) -> Result<(), NetworkError> {
        let done = self.at_each(sites, |inside, site| {
            let (old, new) = change(site);
            if old.is_empty() && new.is_empty() {
                return Ok(());
            }
            let (prepare, clear) = (queues::prepare(&old, &new), queues::clear(&old, &new));
            let commands = format!("{prepare}{clear}{}", queues::look());
            let shown = match self.tools.tc(inside, &commands) {
                Ok(shown) => shown,
                // Some of it may be gone since an attempt before: what remains goes, and the look
                // decides.
                Err(error) => {
                    let shown = self
                        .tools
                        .tc_all(inside, &(prepare + &clear), &queues::look())?;
                    return queues::are(&new, &shown).then_some(()).ok_or(error);
                }
            };
            let stays = || NetworkError::Stays { of: site, id };
            queues::are(&new, &shown).then_some(()).ok_or_else(stays)
        });
        done.into_values().collect()
    }
}
