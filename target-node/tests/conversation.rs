//! Conversations with the core: `tests/testdata/*.txt`, each a story with its full outcome.
//!
//! ```text
//! # A remark.
//! campaign 1
//! ----
//! n1: campaigns in term 1, log ends at 0@0
//! ```
//!
//! A block is one or more commands, `----`, and all that the nodes then did. What they send is in
//! flight until a command delivers or drops it, and what they persist is durable when a command
//! says so; nothing happens by itself. `CONVERSATION_UPDATE=1` writes the outcomes anew: review
//! the difference.
//!
//! | command | does |
//! |---|---|
//! | `cluster nodes=3 [election=10] [append-bytes=1] [switches]` | begins anew, with empty logs |
//! | … `[voters=2]` | nodes 3 and above wait to be taken in |
//! | … `[chunk-bytes=4] [trailing=0]` | and so small are chunks and what is kept below a snapshot |
//! | `set [pre-vote=on] [check-quorum=on] [leases=on] [jitter=sofa]` | switches from now on |
//! | … `[conf-change=single] [conf-effective=apply] [defect=NAME]` | the same |
//! | `node 1 term=6 [vote=2] log=1,1,4` | gives a node a past: the terms of its entries |
//! | `tick 1 [times=10]`, `campaign 1`, `propose 1 x`, `transfer 1 to=2` | an input |
//! | `change 1 add-voter=4` | also `add-learner`, `promote`, `remove`, `voters=1,2,4 learners=5` |
//! | `read 1 [mode=lease]` | a read that a majority, the lease, or the log makes certain |
//! | `pass 1 ticks=5` | node 1 does nothing, and its clock goes on |
//! | `compact 1 state=abc` | node 1 takes a snapshot, of this state |
//! | `persist 1` | all that node 1 has handed out is durable |
//! | `deliver [1->2] [kind=vote]` | delivers what is in flight now, once, in order |
//! | `drop [1->2] [kind=vote]` | loses it |
//! | `settle` | delivers and persists until nothing is left to do |
//! | `cut 3`, `heal 3` | drops everything to and from a node, from now on |
//! | `mute 3[->1] [kind=rejected]`, `unmute 3` | loses what a node says, from now on |
//! | `quiet ticks=50` | lets time pass for all, and tells only of elections and steps down |
//! | `crash 1`, `restart 1` | loses what is not durable, and comes back with the rest |
//! | `flight`, `status` | shows messages, or nodes |

#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[path = "conversation/script.rs"]
mod script;
#[path = "conversation/setting.rs"]
mod setting;
#[path = "conversation/stage.rs"]
mod stage;
#[path = "conversation/telling.rs"]
mod telling;
#[path = "conversation/words.rs"]
mod words;

use stage::Stage;

#[test]
fn every_conversation_goes_as_it_is_written_down() {
    script::play_all("", || {
        let mut stage = Stage::default();
        move |line: &str| stage.act(line)
    });
}
