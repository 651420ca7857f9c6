//! Conversations with the cores beside Raft: `tests/testdata/primary_backup` and `…/quorum`.
//!
//! They read like those with Raft (`tests/conversation.rs`); nothing happens by itself.
//!
//! | command | does |
//! |---|---|
//! | `cluster mode=semisync nodes=3 [patience=5]` | begins anew with a primary, n1, and backups |
//! | `cluster n=3 w=2 r=2 repair=none\|async\|abd [nodes=3]` | begins anew with replicas |
//! | `propose 1 x`, `promote 2 [epoch=7]`, `compact 1 state=abc` | a primary's inputs |
//! | `write 1 x 2`, `unset 1 x` | node 1 coordinates a write of 2 to register x, a deletion |
//! | `read 1 [x]` | a read, of register x |
//! | `tick 1 [times=5]`, `persist 1`, `deliver [1->2] [kind=store]` | as with Raft |
//! | `drop …`, `settle` | as with Raft |
//! | `cut 3`, `heal 3`, `crash 1`, `restart 1`, `flight`, `status` | as with Raft |

#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[path = "modes/primary_backup.rs"]
mod primary_backup;
#[path = "modes/quorum.rs"]
mod quorum;
#[path = "conversation/script.rs"]
mod script;
#[path = "modes/stage.rs"]
mod stage;
#[path = "conversation/words.rs"]
mod words;

#[test]
fn every_conversation_of_primary_and_backups_goes_as_it_is_written_down() {
    script::play_all("primary_backup", primary_backup::stage);
}

#[test]
fn every_conversation_of_a_quorum_goes_as_it_is_written_down() {
    script::play_all("quorum", quorum::stage);
}
