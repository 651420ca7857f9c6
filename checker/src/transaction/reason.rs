//! Why one transaction came before another.

/// One reason or several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reasons(u8);

impl Reasons {
    /// It wrote what the other overwrote.
    pub(super) const WW: Reasons = Reasons(1);
    /// It wrote what the other read.
    pub(super) const WR: Reasons = Reasons(2);
    /// It read what the other overwrote.
    pub(super) const RW: Reasons = Reasons(4);
    /// One process did it and then the other.
    pub(super) const PROCESS: Reasons = Reasons(8);
    /// It completed before the other was invoked.
    pub(super) const TIME: Reasons = Reasons(16);
    /// Its write was over when somebody asked who read the other's: that one overwrote it.
    pub(super) const OVER: Reasons = Reasons(32);
    /// The other began to write when what it read was there already.
    pub(super) const MISSED: Reasons = Reasons(64);
    /// Whatever the reason was that led to here.
    pub(super) const ANY: Reasons = Reasons(127);

    /// What it did not see of the other.
    pub(super) const UNSEEN: Reasons = Reasons::RW.and(Reasons::MISSED);
    /// Those that real time is a part of.
    pub(super) const REAL_TIME: Reasons = Reasons::TIME.and(Reasons::OVER).and(Reasons::MISSED);

    /// Those that make the stronger anomaly come first.
    const ONE_BY_ONE: [Reasons; 7] = [
        Reasons::WW,
        Reasons::WR,
        Reasons::PROCESS,
        Reasons::TIME,
        Reasons::OVER,
        Reasons::RW,
        Reasons::MISSED,
    ];

    /// These and those.
    pub(super) const fn and(self, others: Reasons) -> Reasons {
        Reasons(self.0 | others.0)
    }

    /// These but not those.
    pub(super) const fn without(self, others: Reasons) -> Reasons {
        Reasons(self.0 & !others.0)
    }

    /// True where there is one in both.
    pub(super) fn meets(self, others: Reasons) -> bool {
        self.0 & others.0 != 0
    }

    /// The one of these, among those allowed, that makes the strongest anomaly.
    pub(super) fn best(self, allowed: Reasons) -> Option<Reasons> {
        let both = Reasons(self.0 & allowed.0);
        let mut each = Reasons::ONE_BY_ONE.into_iter();
        each.find(|one| both.meets(*one))
    }
}
