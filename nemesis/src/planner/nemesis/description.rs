//! What each nemesis does, in words.

use super::Nemesis;

impl Nemesis {
    /// What it does, in one line.
    pub fn description(self) -> &'static str {
        match self {
            Self::None => "no fault at all",
            Self::Kill => "SIGKILL for up to a minority of the nodes, then start them again",
            Self::KillLeader => "SIGKILL for whoever leads at that moment, then start it again",
            Self::KillAll => "SIGKILL for every node at once, then start them all again",
            Self::Pause => "SIGSTOP for up to a minority of the nodes, then SIGCONT",
            Self::PauseLeader => "SIGSTOP for whoever leads at that moment, then SIGCONT",
            Self::PauseAll => "SIGSTOP for every node at once, then SIGCONT",
            Self::Stop => {
                "SIGTERM for a minority or the leader, seen to end in order, then start them again"
            }
            Self::Restart => "SIGTERM, and started again as soon as they have ended",
            Self::RestartAll => "every node restarted in order, all at once",
            Self::CrashLoop => "SIGKILL as often as they come up, 3 to 10 times",
            Self::KillStarting => "SIGKILL within 2 to 50 ms after their start, before they listen",
            Self::SlowCpu => "they run 5 to 50 % of the time, by SIGSTOP and SIGCONT",
            Self::Memory => "they get no more memory than they have, or 1 MiB",
            Self::Partition => "cuts of every shape below, in turn",
            Self::Halves => "the cluster in two random sides",
            Self::Isolate => "one random node cut off from all others",
            Self::IsolateLeader => {
                "whoever leads cut off from all other nodes; clients still reach it"
            }
            Self::Ring => "majorities ring: each node sees a majority, no two see the same one",
            Self::OneWay => "some nodes are not heard by some others; the way back is open",
            Self::ClientCut => "clients cut off from some of the nodes, which hear each other",
            Self::MinorityThird => "a third of the nodes, or fewer, cut off from the rest",
            Self::Bridge => "two sides that do not hear each other; one node hears both",
            Self::IsolateLeaders => "everybody who says that they lead, each cut off alone",
            Self::Packet => {
                "what follows, but corrupt-deliver and refuse, in turn: slow, lossy, broken, reset"
            }
            Self::Delay => "packets arrive later, more or less",
            Self::Loss => "packets are lost",
            Self::Duplicate => "packets arrive twice",
            Self::Reorder => "packets overtake each other",
            Self::Corrupt => "packets arrive broken, and their checksum finds it",
            Self::CorruptDeliver => {
                "payloads change on the way, unnoticed: beyond what TCP promises"
            }
            Self::Reset => "TCP connections are reset at both ends",
            Self::Refuse => "new TCP connections are refused, open ones go on",
            Self::Rate => "packets wait for a slow line",
            Self::Flaky => {
                "several effects on packets at once: delay, loss, duplicates, a slow line"
            }
            Self::PowerLoss => {
                "machines lose power, and what was not fsynced: some, the leader, or all at once"
            }
            Self::Disk => "what follows, but lying-fsync, in turn: disks fail, are full or slow",
            Self::ReadError => "reads from disk fail with EIO",
            Self::WriteError => "writes to disk fail with EIO",
            Self::FsyncError => "fsyncs fail with EIO, and what they were to write is lost",
            Self::DiskFull => "there is no room on the disk: ENOSPC",
            Self::SlowFsync => "fsyncs take 5 to 100 ms longer",
            Self::LyingFsync => {
                "fsyncs do nothing, and every node loses power: beyond what any survives"
            }
            Self::Damage => "what follows, in turn, to a minority of the disks over the whole run",
            Self::BitFlip => "bits of files flip",
            Self::Truncate => "the end of a file is gone",
            Self::Restore => "a disk is as it was when faults began",
            Self::Wipe => "a disk is empty",
            _ => self.of_clocks(),
        }
    }

    /// The same for clocks.
    fn of_clocks(self) -> &'static str {
        match self {
            Self::Clock => {
                "what follows, in turn: wall clocks of some, the leader or all are wrong"
            }
            Self::ClockOffset => "wall clocks are 11 ms to an hour ahead or behind",
            Self::ClockRate => "wall clocks run at half to twice their pace",
            Self::ClockStrobe => "wall clocks are wrong and right in turn, every 1 to 100 ms",
            _ => self.of_an_administrator(),
        }
    }

    /// The same for what an administrator orders.
    fn of_an_administrator(self) -> &'static str {
        match self {
            Self::Membership => "what follows, in turn; the heal brings back the first members",
            Self::Grow => "spare nodes join the cluster, and leave it again",
            Self::Shrink => "members are removed; also asked of a leader that is cut off",
            Self::Replace => "spare nodes take the place of members",
            Self::Transfer => "leaders are told to hand over; also when they are cut off",
            Self::Campaign => "followers are told to begin an election",
            Self::StepDown => "leaders are told to stop",
            Self::Snapshot => "nodes are told to take a snapshot",
            Self::Compact => "nodes are told to take a snapshot, and to drop the log before it",
            _ => self.of_a_choice(),
        }
    }

    /// The same for those that are a choice of many.
    fn of_a_choice(self) -> &'static str {
        match self {
            Self::Mixed => {
                "kills, pauses, cuts of every shape, power losses and ill disks, overlapping"
            }
            Self::Swarm => {
                "a random choice of all that can be survived, as hard and as fast as drawn"
            }
            _ => "all that can be survived, one at a time, and as long again nothing",
        }
    }
}
